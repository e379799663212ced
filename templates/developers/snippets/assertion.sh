# The private key stays here. What is sent is a signed note that is good for five minutes, once.
b64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
now=$(date +%s)
header=$(printf '{"alg":"%s","kid":"%s","typ":"JWT"}' "$ALG" "$KID" | b64url)
claims=$(printf '{"iss":"%s","sub":"%s","aud":"%s","iat":%d,"exp":%d,"jti":"%s"}' \
  "$CLIENT_ID" "$CLIENT_ID" "$TOKEN_URL" "$now" $((now + 300)) "$(openssl rand -hex 16)" | b64url)
{% if is_ec %}# OpenSSL writes an ECDSA signature as two numbers in DER; a JWT wants both side by side, {{ half }} bytes each.
hex=$(printf '%s.%s' "$header" "$claims" | openssl dgst -sha{{ hash }} -sign "$KEY_FILE" | openssl asn1parse -inform DER |
  awk -F: '/INTEGER/ { h = $NF; while (length(h) < {{ digits }}) h = "0" h; printf "%s", substr(h, length(h) - {{ digits }} + 1) }')
signature=$(printf "$(printf '%s' "$hex" | sed 's/../\\x&/g')" | b64url)
{% else %}signature=$(printf '%s.%s' "$header" "$claims" | openssl dgst -sha{{ hash }} -sign "$KEY_FILE" | b64url)
{% endif %}assertion="$header.$claims.$signature"
