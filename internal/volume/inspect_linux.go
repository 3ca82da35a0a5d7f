package volume

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Inspect says what is on a device, and changes nothing. A device that nobody
// has taken over and that is in use is Foreign.
func (s System) Inspect(ctx context.Context, d Device, r Record) (Finding, error) {
	return s.inspect(ctx, d, r, true)
}

// inspect is Inspect; without wholly, a volume that looks blank is not read.
func (s System) inspect(ctx context.Context, d Device, r Record, wholly bool) (Finding, error) {
	h, err := take(ctx, d)
	if errors.Is(err, ErrBusy) {
		f, lookErr := look(ctx, d)
		if lookErr != nil {
			return Finding{}, failed("inspect", d.Volume, lookErr)
		}
		f.claims = append(f.claims, strings.TrimPrefix(err.Error(), ErrBusy.Error()+": "))
		return decide(f, r), nil
	}
	if err != nil {
		return Finding{}, failed("inspect", d.Volume, err)
	}
	defer h.release()
	return h.inspect(ctx, r, wholly)
}

// inspect is Inspect of a device that is held. Whether all of it is zero is
// asked only when nothing else says that it is not blank.
func (h *hold) inspect(ctx context.Context, r Record, wholly bool) (Finding, error) {
	f, err := look(ctx, h.device)
	if err != nil {
		return Finding{}, failed("inspect", h.device.Volume, err)
	}
	if wholly && decide(f, r).Kind == Blank {
		if f.nonzero, f.err = zeros(ctx, h.device.Path, f.size); ctx.Err() != nil {
			return Finding{}, failed("inspect", h.device.Volume, ctx.Err())
		}
	}
	return decide(f, r), nil
}

func zeros(ctx context.Context, path string, size int64) (int64, error) {
	direct, err := openDirect(path)
	if err != nil {
		return -1, err
	}
	defer direct.Close()
	at, err := nonzero(ctx, direct, spans(size))
	if err != nil {
		return -1, fmt.Errorf("read %s: %w", path, err)
	}
	return at, nil
}

// look finds out what can be known without reading all of a device.
func look(ctx context.Context, d Device) (facts, error) {
	f := facts{nonzero: -1, whole: signature{path: d.Path}}
	rdev, err := deviceNumber(d.Path)
	if err != nil {
		return f, err
	}
	if f.size, f.err = sizeOf(d.Path); f.err != nil {
		return f, nil
	}
	if f.whole, err = probe(ctx, d.Path); err != nil {
		return f, err
	}
	if f.wipefs, err = wipefs(ctx, d.Path); err != nil {
		return f, err
	}
	for _, holder := range holders(rdev) {
		f.claims = append(f.claims, "part of "+holder)
	}
	list, err := partitions(rdev)
	if err != nil {
		return f, err
	}
	for _, p := range list {
		s, err := probe(ctx, p.path)
		if err != nil {
			return f, err
		}
		s.part, s.offset, s.size = true, p.start, p.bytes
		f.partitions = append(f.partitions, s)
		if use := inUse(p.rdev); use != "" {
			f.claims = append(f.claims, p.path+" is "+use)
		}
	}
	return f, nil
}

func sizeOf(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Seek(0, io.SeekEnd)
}

// blkid's exit codes, from its manual: 2 says that nothing was found, 8 that
// several things were.
const (
	blkidNothing   = 2
	blkidAmbiguous = 8
)

// probe asks blkid what is on a device now; it looks at the device alone, not
// at what it remembers. The device is there: who asks holds it open.
func probe(ctx context.Context, path string) (signature, error) {
	s := signature{path: path}
	r, err := run(ctx, probeMax, nil, "blkid", "-p", "-o", "export", path)
	if err != nil {
		return s, err
	}
	switch r.code {
	case 0, blkidNothing, blkidAmbiguous:
	default:
		return s, r.error("blkid")
	}
	s.ambiguous = r.code == blkidAmbiguous
	parseBlkid(r.out, &s)
	return s, nil
}

// wipefs asks the other program for what it would erase, which blkid may not
// name.
func wipefs(ctx context.Context, path string) ([]string, error) {
	r, err := run(ctx, probeMax, nil, "wipefs", "-n", "-J", path)
	if err != nil {
		return nil, err
	}
	if r.code != 0 {
		return nil, r.error("wipefs")
	}
	if strings.TrimSpace(r.out) == "" {
		return nil, nil
	}
	var found struct{ Signatures []struct{ Type string } }
	if err := json.Unmarshal([]byte(r.out), &found); err != nil {
		return nil, fmt.Errorf("wipefs: %w: %s", err, brief(r.out))
	}
	var list []string
	for _, s := range found.Signatures {
		list = append(list, or(s.Type, "something"))
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}
