// Asks @sigstore/verify about one bundle: one entry of a trusted log, no timestamp.
//
//   node verify.js BUNDLE TRUSTED_ROOT KEY.DER
//
// Ends with 0 when it verifies, and else says why not.
'use strict';
const fs = require('node:fs');
const { bundleFromJSON } = require('@sigstore/bundle');
const { PublicKeyDetails, TrustedRoot } = require('@sigstore/protobuf-specs');
const { toSignedEntity, toTrustMaterial, Verifier } = require('@sigstore/verify');

const [bundlePath, rootPath, keyPath] = process.argv.slice(2);
const json = (path) => JSON.parse(fs.readFileSync(path, 'utf8'));
try {
  const bundle = bundleFromJSON(json(bundlePath));
  const { hint } = bundle.verificationMaterial.content.publicKey;
  const key = { rawBytes: fs.readFileSync(keyPath), keyDetails: PublicKeyDetails.PKIX_ECDSA_P256_SHA_256 };
  const trust = toTrustMaterial(TrustedRoot.fromJSON(json(rootPath)), { [hint]: key });
  new Verifier(trust, { tlogThreshold: 1, timestampThreshold: 0 }).verify(toSignedEntity(bundle));
} catch (error) {
  console.error(`${error.code ?? error.name}: ${error.message}`);
  process.exit(1);
}
