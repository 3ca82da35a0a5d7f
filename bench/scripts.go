//go:build linux

package main

// What a user would run instead. Both get REPOS (clone URLs, one a line),
// ENDPOINT and BUCKET from the environment and work in the current folder.

// scriptA does what the hand-made weekly backup did, step by step: clone each
// repository and its wiki, zip each, sync the zips with a date file.
const scriptA = `
set -e
mkdir clones zips
cd clones
for url in $REPOS; do
	git clone -q "$url"
	git clone -q "${url%.git}.wiki.git" 2>/dev/null || true
done
for name in *; do zip -q -r "../zips/$name.zip" "$name"; done
cd ..
touch "zips/$(date +%Y-%m-%d-%H-%M).txt"
aws --endpoint-url "$ENDPOINT" s3 sync zips "s3://$BUCKET/a" --delete --exclude '*' --include '*.zip' --include '*.txt' --only-show-errors
`

// scriptB is the better script: every ref, nothing compressed twice.
const scriptB = `
set -e
mkdir clones zips
cd clones
for url in $REPOS; do
	git clone -q --mirror "$url"
	git clone -q --mirror "${url%.git}.wiki.git" 2>/dev/null || true
done
for name in *; do zip -q -0 -r "../zips/$name.zip" "$name"; done
cd ..
aws --endpoint-url "$ENDPOINT" s3 sync zips "s3://$BUCKET/b" --delete --only-show-errors
`
