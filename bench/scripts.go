//go:build linux

package main

// What a user would run instead. All get REPOS (clone URLs, one a line),
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

// scriptC keeps its mirrors, on a disk that is paid for all week, fetches into
// them, and zips those that changed.
const scriptC = `
set -e
cd "$MIRRORS"
mkdir -p ../zips
for url in $REPOS; do
	name=$(basename "$url")
	[ -d "$name" ] || git clone -q --mirror "$url"
	git -C "$name" remote update --prune >/dev/null 2>&1
	now=$(git -C "$name" show-ref | sha256sum)
	if [ "$now" != "$(cat "../zips/$name.sum" 2>/dev/null)" ]; then
		rm -f "../zips/$name.zip"
		zip -q -0 -r "../zips/$name.zip" "$name"
		echo "$now" >"../zips/$name.sum"
	fi
done
aws --endpoint-url "$ENDPOINT" s3 sync ../zips "s3://$BUCKET/c" --delete --exclude '*.sum' --only-show-errors
`
