// Command ggcr makes an image as ko and its kin do: Go's archive/tar writes each folder as a layer, with PAX records where
// they must be, and go-containerregistry assembles the image and writes it as an OCI layout. An argument that begins with a
// dash is a layer that takes a path away.
package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: ggcr LAYOUT FOLDER|-DELETED ...: a layer each")
		os.Exit(2)
	}
	if err := image(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func image(out string, parts []string) error {
	layers := []v1.Layer{}
	for _, part := range parts {
		write := func(w *tar.Writer) error { return folder(w, part) }
		if gone, ok := strings.CutPrefix(part, "-"); ok {
			write = func(w *tar.Writer) error { return whiteout(w, gone) }
		}
		var buffer bytes.Buffer
		w := tar.NewWriter(&buffer)
		if err := write(w); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(buffer.Bytes())), nil
		})
		if err != nil {
			return err
		}
		layers = append(layers, layer)
	}
	made, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		return err
	}
	config, err := made.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.Architecture, config.OS = "amd64", "linux"
	config.Config.Entrypoint = []string{"/tool"}
	if made, err = mutate.ConfigFile(made, config); err != nil {
		return err
	}
	place, err := layout.Write(out, empty.Index)
	if err != nil {
		return err
	}
	return place.AppendImage(made, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "it"}))
}

func whiteout(w *tar.Writer, gone string) error {
	name := filepath.Join(filepath.Dir(gone), ".wh."+filepath.Base(gone))
	return w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644})
}

// folder writes what stands below a folder, parents first; of a hard link's names the first is the file.
func folder(w *tar.Writer, root string) error {
	firsts := map[uint64]string{}
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		target := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if target, err = os.Readlink(path); err != nil {
				return err
			}
		}
		header, err := tar.FileInfoHeader(info, target)
		if err != nil {
			return err
		}
		header.Name = name
		if info.IsDir() {
			header.Name += "/"
		}
		value := make([]byte, 256)
		if n, err := syscall.Getxattr(path, "security.capability", value); err == nil && target == "" {
			header.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": string(value[:n])}
		}
		stat := info.Sys().(*syscall.Stat_t)
		if first, seen := firsts[stat.Ino]; seen {
			header.Typeflag, header.Linkname, header.Size = tar.TypeLink, first, 0
		} else if stat.Nlink > 1 && info.Mode().IsRegular() {
			firsts[stat.Ino] = header.Name
		}
		if err := w.WriteHeader(header); err != nil || header.Typeflag != tar.TypeReg {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = io.Copy(w, file)
		return err
	})
}
