function assertion() {
  const base64url = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const iat = Math.floor(Date.now() / 1000);
  const claims = { iss: CLIENT_ID, sub: CLIENT_ID, aud: TOKEN_URL, iat, exp: iat + 300, jti: randomUUID() };
  const signed = `${base64url(HEADER)}.${base64url(claims)}`;
  const key = createPrivateKey(readFileSync(KEY_FILE));
  const signature = sign("sha{{ hash }}", Buffer.from(signed), {% if is_ec %}{ key, dsaEncoding: "ieee-p1363" }{% else %}key{% endif %});
  return `${signed}.${signature.toString("base64url")}`;
}
