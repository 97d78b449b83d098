// Command containerd lays layers over one another as containerd does: its own archive.Apply, which is also what BuildKit
// calls, on plain tars, the lowest first.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/containerd/v2/pkg/archive"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: containerd ROOTFS LAYER.tar ...")
		os.Exit(2)
	}
	for _, layer := range os.Args[2:] {
		if err := apply(os.Args[1], layer); err != nil {
			fmt.Fprintln(os.Stderr, layer+":", err)
			os.Exit(1)
		}
	}
}

func apply(rootfs, layer string) error {
	file, err := os.Open(layer)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = archive.Apply(context.Background(), rootfs, file)
	return err
}
