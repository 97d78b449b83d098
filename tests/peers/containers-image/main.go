// Command containers-image asks containers/image, as podman, CRI-O and skopeo do, whether a policy lets an image run.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/containers/image/v5/docker"
	"github.com/containers/image/v5/image"
	"github.com/containers/image/v5/signature"
	"github.com/containers/image/v5/types"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: containers-image POLICY.json REGISTRIES.d //HOST/REPO@DIGEST: over plain HTTP")
		os.Exit(2)
	}
	if err := ask(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func ask(policyFile, registries, name string) error {
	policy, err := signature.NewPolicyFromFile(policyFile)
	if err != nil {
		return err
	}
	asked, err := signature.NewPolicyContext(policy)
	if err != nil {
		return err
	}
	defer func() { _ = asked.Destroy() }()
	reference, err := docker.ParseReference(name)
	if err != nil {
		return err
	}
	system := &types.SystemContext{
		RegistriesDirPath:           registries,
		DockerInsecureSkipTLSVerify: types.OptionalBoolTrue,
	}
	source, err := reference.NewImageSource(context.Background(), system)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	allowed, err := asked.IsRunningImageAllowed(context.Background(), image.UnparsedInstance(source, nil))
	if err != nil {
		return err
	}
	if !allowed {
		return fmt.Errorf("not allowed, and no reason given")
	}
	return nil
}
