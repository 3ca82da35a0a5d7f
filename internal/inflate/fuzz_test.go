package inflate

import (
	"bytes"
	"compress/zlib"
	"math/rand/v2"
	"testing"
)

// FuzzVerify holds Verify to the standard library: the same streams are
// accepted, and of those the same number of bytes is taken, however the input
// arrives.
func FuzzVerify(f *testing.F) {
	r := rand.New(rand.NewPCG(21, 22))
	for _, data := range [][]byte{{}, []byte("a"), bytes.Repeat([]byte("ab"), 400), randomText(r, 900), randomBytes(r, 90)} {
		for _, level := range []int{zlib.HuffmanOnly, 0, 1, 9} {
			f.Add(deflate(f, data, level))
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		agree(t, new(Decoder), stream)
	})
}

// agree fails t when Verify and the standard library differ about p.
func agree(t *testing.T, d *Decoder, p []byte) {
	t.Helper()
	data, want, wantErr := standard(p)
	for how, open := range readers {
		taken, err := verify(d, open, p, int64(len(data)))
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%s, %x: got %v, the standard library %v", how, p, err, wantErr)
		}
		if err == nil && taken != want {
			t.Fatalf("%s, %x: took %d bytes, the standard library %d", how, p, taken, want)
		}
	}
}

// Fuzzing runs only when asked for; this much of it runs always. Half of the
// streams have their checksum corrected after the change where that is
// possible, so that agreement is not only about what the checksum refuses.
func TestVerifyAgreesAboutChangedStreams(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(23, 24))
	d := new(Decoder)
	accepted := 0
	for range 800 {
		data := randomText(r, 1+r.IntN(600))
		stream := deflate(t, data, []int{zlib.HuffmanOnly, 0, 1, 6, 9}[r.IntN(5)])
		for range 1 + r.IntN(3) {
			stream[2+r.IntN(len(stream)-2)] ^= 1 << r.IntN(8)
		}
		if fixed, ok := withChecksum(stream); ok {
			stream = fixed
			accepted++
		}
		agree(t, d, stream)
	}
	if accepted < 100 {
		t.Errorf("only %d of the changed streams were acceptable, the test needs more", accepted)
	}
}
