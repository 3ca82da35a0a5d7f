//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/adler32"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"

	"mayfly/internal/gittest"
)

// huge makes a bare repository of one commit with this many files of 1 MiB
// that do not compress.
// It does what gittest.Big does without git, which hashes everything three
// times, slowly: minutes for what is made here.
func huge(dir string, blobs int) error {
	if _, err := gittest.Git("", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", dir); err != nil {
		return err
	}
	tmp := filepath.Join(dir, "objects", "pack", "tmp")
	f, err := os.Create(tmp)
	if err != nil {
		return err
	}
	defer f.Close()
	p := &packer{buf: bufio.NewWriterSize(f, 1<<20), sum: sha1.New(), index: new(idxfile.Writer)}
	head, err := p.history(blobs)
	if err != nil {
		return err
	}
	var id plumbing.Hash
	copy(id[:], p.sum.Sum(nil))
	if _, err := p.buf.Write(id[:]); err != nil {
		return err
	}
	if err := p.buf.Flush(); err != nil {
		return err
	}
	name := filepath.Join(dir, "objects", "pack", "pack-"+id.String())
	if err := os.Rename(tmp, name+".pack"); err != nil {
		return err
	}
	if err := p.writeIndex(name+".idx", id); err != nil {
		return err
	}
	_, err = gittest.Git(dir, "update-ref", "refs/heads/main", head.String())
	return err
}

// A packer writes a pack (git's gitformat-pack) and its index.
type packer struct {
	buf   *bufio.Writer
	sum   hash.Hash
	at    uint64
	index *idxfile.Writer
}

func (p *packer) Write(b []byte) (int, error) {
	p.sum.Write(b)
	p.at += uint64(len(b))
	return p.buf.Write(b)
}

// history writes the blobs, a tree of all of them and a commit of that.
func (p *packer) history(blobs int) (head plumbing.Hash, err error) {
	count := uint32(blobs + 2)
	p.index.OnHeader(count)
	if _, err := p.Write(binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), count)); err != nil {
		return head, err
	}
	var tree bytes.Buffer
	noise := rand.NewChaCha8([32]byte{5})
	blob := make([]byte, 1<<20)
	for n := range blobs {
		if _, err := io.ReadFull(noise, blob); err != nil {
			return head, err
		}
		id, err := p.object(plumbing.BlobObject, blob, stored(blob))
		if err != nil {
			return head, err
		}
		fmt.Fprintf(&tree, "100644 blob-%06d.bin\x00%s", n, id[:])
	}
	id, err := p.object(plumbing.TreeObject, tree.Bytes(), stored(tree.Bytes()))
	if err != nil {
		return head, err
	}
	const who = "Ada Example <ada@example.com> 1600000000 +0000"
	text := fmt.Appendf(nil, "tree %s\nauthor %s\ncommitter %s\n\nhuge\n", id, who, who)
	return p.object(plumbing.CommitObject, text, stored(text))
}

// object adds one with its content and that as a zlib stream.
func (p *packer) object(kind plumbing.ObjectType, content, stream []byte) (plumbing.Hash, error) {
	size := len(content)
	named := sha1.New() // go-git's, which finds collisions, takes three times as long
	fmt.Fprintf(named, "%s %d\x00", kind, size)
	named.Write(content)
	id := plumbing.Hash(named.Sum(nil))
	header := []byte{byte(kind)<<4 | byte(size&15)}
	for size >>= 4; size > 0; size >>= 7 {
		header[len(header)-1] |= 0x80
		header = append(header, byte(size&0x7f))
	}
	crc := crc32.Update(crc32.ChecksumIEEE(header), crc32.IEEETable, stream)
	p.index.Add(id, p.at, crc)
	if _, err := p.Write(header); err != nil {
		return id, err
	}
	_, err := p.Write(stream)
	return id, err
}

// stored is a zlib stream of b without compression (RFC 1950, RFC 1951).
func stored(b []byte) []byte {
	sum := adler32.Checksum(b)
	out := append(make([]byte, 0, len(b)+len(b)/1000+100), 0x78, 0x01)
	for len(b) > 0 {
		n := min(len(b), 65535)
		final := byte(0)
		if n == len(b) {
			final = 1
		}
		out = append(out, final, byte(n), byte(n>>8), ^byte(n), ^byte(n>>8))
		out = append(out, b[:n]...)
		b = b[n:]
	}
	return binary.BigEndian.AppendUint32(out, sum)
}

func (p *packer) writeIndex(name string, pack plumbing.Hash) error {
	if err := p.index.OnFooter(pack); err != nil {
		return err
	}
	idx, err := p.index.Index()
	if err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if _, err := idxfile.NewEncoder(f).Encode(idx); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
