package inflate

import (
	"bytes"
	stdadler "hash/adler32"
	"math/rand/v2"
	"testing"
)

func TestAdlerIsThatOfTheStandardLibrary(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(11, 12))
	inputs := [][]byte{bytes.Repeat([]byte{0xff}, 3*adlerMax+5), bytes.Repeat([]byte{0}, 10_000)}
	for n := range 600 {
		inputs = append(inputs, randomBytes(r, n))
		inputs = append(inputs, bytes.Repeat([]byte{0xff}, n))
	}
	for _, p := range inputs {
		s := adler{a: 1}
		s.add(p)
		if want := stdadler.Checksum(p); s.value() != want {
			t.Fatalf("%d bytes: got %08x, want %08x", len(p), s.value(), want)
		}
		s = adler{a: 1}
		for rest := p; len(rest) > 0; {
			k := 1 + r.IntN(len(rest))
			s.add(rest[:k])
			rest = rest[k:]
		}
		if want := stdadler.Checksum(p); s.value() != want {
			t.Fatalf("%d bytes in pieces: got %08x, want %08x", len(p), s.value(), want)
		}
	}
}

func BenchmarkAdler(b *testing.B) {
	p := randomBytes(rand.New(rand.NewPCG(13, 14)), 64<<10)
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(p)))
		for b.Loop() {
			s := adler{a: 1}
			s.add(p)
		}
	})
	b.Run("standard", func(b *testing.B) {
		b.SetBytes(int64(len(p)))
		for b.Loop() {
			stdadler.Checksum(p)
		}
	})
}
