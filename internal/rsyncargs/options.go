package rsyncargs

import "regexp"

// A rule says what is done with one long option.
type rule struct {
	value  *regexp.Regexp // what its value must look like; nil: it has none, or a path
	path   bool           // its value is a path
	side   side           // where it means something
	append effect         // what append_only makes of it
}

type side int

const (
	both side = iota
	pushOnly
	pullOnly
)

type effect int

const (
	keep   effect = iota
	refuse        // it deletes or overwrites, and that is what it is for
	drop          // it would leave something half-made that append_only then never completes
)

var (
	number = regexp.MustCompile(`^-?[0-9]{1,18}$`)
	size   = regexp.MustCompile(`^-?[0-9.]{1,18}[A-Za-z]{0,3}([+-]1)?$`)
	choice = regexp.MustCompile(`^[A-Za-z0-9_,.:-]{1,200}$`)
	idmap  = regexp.MustCompile(`^[A-Za-z0-9_,.:*@$-]+$`)
	suffix = regexp.MustCompile(`^[^/]{0,64}$`)
	format = regexp.MustCompile(`^(X|%i|%i%I|%o)$`)
	endup  = regexp.MustCompile(`^[A-Za-z0-9/._*?\[\]-]*$`)
	anyX   = regexp.MustCompile(`^X$`)
	dash   = regexp.MustCompile(`^-$`)
)

// long are the long options that stock clients 3.1 to 3.5 send (server_options
// in rsync's options.c) and those that rrsync takes besides, which a user can
// send with -M. What is not here is refused.
var long = map[string]rule{
	"append":              {side: pushOnly, append: refuse},
	"backup-dir":          {path: true, side: pushOnly, append: refuse},
	"block-size":          {value: number},
	"bwlimit":             {value: size},
	"checksum-choice":     {value: choice},
	"checksum-seed":       {value: number},
	"compare-dest":        {path: true, side: pushOnly},
	"compress-choice":     {value: choice},
	"compress-level":      {value: number},
	"compress-threads":    {value: number},
	"copy-dest":           {path: true, side: pushOnly},
	"delay-updates":       {side: pushOnly, append: refuse},
	"delete":              {side: pushOnly, append: refuse},
	"delete-after":        {side: pushOnly, append: refuse},
	"delete-before":       {side: pushOnly, append: refuse},
	"delete-delay":        {side: pushOnly, append: refuse},
	"delete-during":       {side: pushOnly, append: refuse},
	"delete-excluded":     {side: pushOnly, append: refuse},
	"delete-missing-args": {append: refuse},
	"dirs":                {},
	"existing":            {side: pushOnly},
	"fake-super":          {},
	"files-from":          {value: dash, side: pullOnly}, // the client's list, which comes over the connection
	"force":               {side: pushOnly, append: refuse},
	"from0":               {},
	"fsync":               {},
	"fuzzy":               {side: pushOnly},
	"group":               {},
	"groupmap":            {value: idmap, side: pushOnly},
	"hard-links":          {},
	"iconv":               {value: choice},
	"ignore-errors":       {},
	"ignore-existing":     {side: pushOnly},
	"ignore-missing-args": {},
	"ignore-times":        {},
	"info":                {value: choice},
	"inplace":             {append: refuse},
	"links":               {},
	"link-dest":           {path: true, side: pushOnly},
	"list-only":           {},
	"log-format":          {value: format},
	"max-alloc":           {value: size},
	"max-delete":          {value: number, side: pushOnly},
	"max-size":            {value: size},
	"min-size":            {value: size},
	"mkpath":              {side: pushOnly},
	"modify-window":       {value: number},
	"msgs2stderr":         {},
	"new-compress":        {},
	"no-W":                {},
	"no-implied-dirs":     {},
	"no-msgs2stderr":      {},
	"no-r":                {},
	"no-relative":         {},
	"no-specials":         {},
	"numeric-ids":         {},
	"old-compress":        {},
	"one-file-system":     {},
	"only-write-batch":    {value: anyX, side: pushOnly},
	"open-noatime":        {},
	"owner":               {},
	"partial":             {side: pushOnly, append: drop},
	"partial-dir":         {path: true, side: pushOnly, append: refuse},
	"perms":               {},
	"preallocate":         {side: pushOnly},
	"recursive":           {},
	"remove-sent-files":   {side: pushOnly}, // the client removes its own
	"remove-source-files": {side: pushOnly},
	"safe-links":          {},
	"size-only":           {side: pushOnly},
	"skip-compress":       {value: endup},
	"specials":            {},
	"stats":               {},
	"stderr":              {value: choice},
	"suffix":              {value: suffix},
	"super":               {side: pushOnly},
	"temp-dir":            {path: true, side: pushOnly, append: refuse},
	"timeout":             {value: number},
	"times":               {},
	"use-qsort":           {},
	"usermap":             {value: idmap, side: pushOnly},
}

// short are the letters of bundles as "-vlogDtpr".
const short = "ACDEHIJNORSUWXbcdglmnopqrstuvxyz"

// why says of options that people or attackers try what is wrong with them.
var why = map[string]string{
	"K":                 "it follows links in the backup: leave -K (--keep-dirlinks) away",
	"L":                 "it follows links in the backup: leave -L (--copy-links) away",
	"k":                 "it follows links in the backup: leave -k (--copy-dirlinks) away",
	"b":                 "append_only: a backup of an old file would move it away: leave -b (--backup) away",
	"copy-unsafe-links": "it follows links in the backup: leave it away",
	"daemon":            "there is no rsync daemon here: write HOST:DIR with one colon",
	"files-from":        "a list of files on the server is not read: keep the list on your side",
	"log-file":          "the log is mayfly's: leave it away",
	"write-devices":     "devices are not written: leave it away",
	"copy-devices":      "devices are not read: leave it away",
	"sender":            "only the first option after --server may say --sender",
	"server":            "--server may stand there once",
}
