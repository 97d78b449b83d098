// Command registries serves one of other people's registries on loopback, and keeps what it holds in a folder: ggcr is
// go-containerregistry's, which has the referrers API; distribution is the CNCF's, version 3, which has none.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/google/go-containerregistry/pkg/registry"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: registries ggcr|distribution 127.0.0.1:PORT FOLDER")
		os.Exit(2)
	}
	handler, err := serve(os.Args[1], os.Args[3])
	if err == nil {
		err = http.ListenAndServe(os.Args[2], handler)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func serve(kind, folder string) (http.Handler, error) {
	switch kind {
	case "ggcr":
		return registry.New(registry.WithReferrersSupport(true), registry.WithBlobHandler(registry.NewDiskBlobHandler(folder))), nil
	case "distribution":
		text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {rootdirectory: %q}\nhttp: {secret: it}\n", folder)
		config, err := configuration.Parse(strings.NewReader(text))
		if err != nil {
			return nil, err
		}
		return handlers.NewApp(context.Background(), config), nil
	}
	return nil, fmt.Errorf("no registry is called %s", kind)
}
