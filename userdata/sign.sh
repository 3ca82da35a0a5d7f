# AWS Signature Version 4. No secret is ever an argument of a program: printf
# is the shell's own.

# raw HEX LENGTH MASK: the bytes, filled up with zeros, each xored with MASK.
raw() {
	hex=$1 left=$2 list=''
	while [ "$left" -gt 0 ]; do
		rest=${hex#??} byte=0
		[ -z "$hex" ] || byte=$((0x${hex%"$rest"}))
		list="$list $((byte ^ $3))" hex=$rest left=$((left - 1))
	done
	# shellcheck disable=SC2046,SC2059,SC2086 # words; escapes
	printf "$(printf '\\%03o' $list)"
}

# digest: the SHA-256 of stdin in hex.
digest() {
	sum=$(sha256sum)
	printf %s "${sum%% *}"
}

# hmac KEY TEXT: HMAC-SHA256 in hex; KEY is hex too, at most 64 bytes.
hmac() {
	inner=$({ raw "$1" 64 54 && printf %s "$2"; } | digest)
	{ raw "$1" 64 92 && raw "$inner" 32 0; } | digest
}

# sign REGION SERVICE METHOD PATH QUERY HEADERS NAMES HASH: the value of
# Authorization, for $access, $secret and the time $stamp.
sign() {
	scope=${stamp%T*}/$1/$2/aws4_request
	text=$(printf '%s\n%s\n%s\n%s\n\n%s\n%s' "$3" "$4" "$5" "$6" "$7" "$8" | digest)
	key=$(printf 'AWS4%s' "$secret" | od -An -v -tx1 | tr -d ' \n')
	for part in "${stamp%T*}" "$1" "$2" aws4_request; do
		key=$(hmac "$key" "$part")
	done
	text=$(printf 'AWS4-HMAC-SHA256\n%s\n%s\n%s' "$stamp" "$scope" "$text")
	printf 'AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s' \
		"$access" "$scope" "$7" "$(hmac "$key" "$text")"
}
