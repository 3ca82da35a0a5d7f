package inflate

import (
	"bufio"
	"bytes"
	stdzlib "compress/zlib"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zlib"
)

// BenchmarkVerify compares with the inflaters that Verify is used instead of,
// over a generated pack and over the packs that MAYFLY_BENCH_PACKS names,
// separated like PATH. MB/s is of inflated bytes, pack-MB/s of the pack's own.
func BenchmarkVerify(b *testing.B) {
	packs := map[string][]byte{"generated": generatedPack(b, 3000)}
	for _, name := range strings.Split(os.Getenv("MAYFLY_BENCH_PACKS"), string(os.PathListSeparator)) {
		if name == "" {
			continue
		}
		pack, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		packs[strings.TrimSuffix(filepath.Base(name), ".pack")] = pack
	}
	for name, pack := range packs {
		for _, c := range []struct {
			name  string
			check func() func(*bufio.Reader, int64) error
		}{
			{"ours", func() func(*bufio.Reader, int64) error { return new(Decoder).Verify }},
			{"klauspost", klauspost},
			{"standard", standardCheck},
		} {
			b.Run(name+"/"+c.name, func(b *testing.B) { benchmarkPack(b, pack, c.check()) })
		}
	}
}

func benchmarkPack(b *testing.B, pack []byte, check func(*bufio.Reader, int64) error) {
	in := bytes.NewReader(nil)
	br := bufio.NewReaderSize(in, 64<<10)
	for b.Loop() {
		in.Reset(pack)
		br.Reset(in)
		p := packReader{br: br}
		if err := p.walk(check); err != nil {
			b.Fatal(err)
		}
		b.SetBytes(p.inflated)
	}
	seconds := b.Elapsed().Seconds()
	b.ReportMetric(float64(len(pack))*float64(b.N)/1e6/seconds, "pack-MB/s")
}

// klauspost and standardCheck do what Verify does, in the way each library does
// it fastest: one reader, reset for each stream.
func klauspost() func(*bufio.Reader, int64) error {
	var z io.ReadCloser
	return func(br *bufio.Reader, size int64) (err error) {
		if z == nil {
			z, err = zlib.NewReader(br)
		} else {
			err = z.(zlib.Resetter).Reset(br, nil)
		}
		return drain(z, size, err)
	}
}

func standardCheck() func(*bufio.Reader, int64) error {
	var z io.ReadCloser
	return func(br *bufio.Reader, size int64) (err error) {
		if z == nil {
			z, err = stdzlib.NewReader(br)
		} else {
			err = z.(stdzlib.Resetter).Reset(br, nil)
		}
		return drain(z, size, err)
	}
}

func drain(z io.Reader, size int64, err error) error {
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, z)
	if err == nil && n != size {
		err = errors.New(fmt.Sprint("holds ", n, " bytes, not ", size))
	}
	return err
}
