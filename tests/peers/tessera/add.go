package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

// Leaves have this many bytes, as ours have in the comparison.
const leafSize = 1000

// add has writers add leaves for some seconds, each the next one when its last was acknowledged, and prints the latencies in
// milliseconds, one a line, and then how many seconds it took in all.
//
// `published` is acknowledged when a checkpoint holds the leaf; `integrated` when Add's future is resolved: durable and in the
// tree, and in no checkpoint yet. Everything is as quick as Tessera allows: a batch is what all writers have waiting, at most a
// millisecond old; checkpoints are 100 ms apart (no smaller interval is taken), and looked for each millisecond.
func add(folder, writersText, secondsText, until string) error {
	if until != "published" && until != "integrated" {
		return fmt.Errorf("%s: published or integrated", until)
	}
	writers, err := strconv.Atoi(writersText)
	if err != nil {
		return err
	}
	seconds, err := strconv.Atoi(secondsText)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	secret, _, err := note.GenerateKey(rand.Reader, "tessera.example")
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return err
	}
	driver, err := posix.New(ctx, posix.Config{Path: folder})
	if err != nil {
		return err
	}
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithBatching(uint(writers), time.Millisecond).
		WithCheckpointInterval(100 * time.Millisecond)
	appender, shutdown, reader, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		return err
	}
	awaiter := tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, time.Millisecond)

	start := time.Now()
	end := start.Add(time.Duration(seconds) * time.Second)
	var (
		mutex     sync.Mutex
		latencies []time.Duration
		failed    error
		group     sync.WaitGroup
	)
	for range writers {
		group.Go(func() {
			for time.Now().Before(end) {
				leaf := make([]byte, leafSize)
				rand.Read(leaf)
				asked := time.Now()
				future := appender.Add(ctx, tessera.NewEntry(leaf))
				_, err := future()
				if err == nil && until == "published" {
					_, _, err = awaiter.Await(ctx, future)
				}
				took := time.Since(asked)
				mutex.Lock()
				if err != nil {
					failed = err
				}
				latencies = append(latencies, took)
				mutex.Unlock()
			}
		})
	}
	group.Wait()
	took := time.Since(start)
	if failed != nil {
		return failed
	}
	for _, latency := range latencies {
		fmt.Println(float64(latency.Microseconds()) / 1000)
	}
	fmt.Println(took.Seconds())
	return shutdown(ctx)
}
