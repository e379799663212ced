// An OpenID Connect client nobody here wrote, openid-client, driven from outside.
//
// Every line on standard input is a request in JSON, {"step": name, ...}; every line on standard output is its answer:
// {"answer": ...}, or {"error": ...} with what the library said. The steps keep their state between them.

import { webcrypto } from 'node:crypto'
import { createInterface } from 'node:readline'
import { inspect } from 'node:util'
import * as client from 'openid-client'

let config
let checks
let redirectUri
let tokens
let options = {}

async function authentication({ method, secret, key }) {
  if (method === 'client_secret_basic') return client.ClientSecretBasic(secret)
  if (method !== 'private_key_jwt') return client.None()
  const algorithm = { name: 'ECDSA', namedCurve: key.crv }
  return client.PrivateKeyJwt({
    key: await webcrypto.subtle.importKey('jwk', key, algorithm, false, ['sign']),
    kid: key.kid,
  })
}

// A token response, with the claims that the library accepted.
function described(response) {
  return { ...response, claims: response.claims() ?? null }
}

const STEPS = {
  // Discover the server and return the URL to send the person to.
  // `push`: hand the request over first (RFC 9126). `bind`: use a key pair for tokens (RFC 9449).
  async authorize({ issuer, client_id, authenticate, redirect_uri, parameters, push, bind }) {
    config = await client.discovery(new URL(issuer), client_id, undefined, await authentication(authenticate), {
      // Loopback speaks http. TLS would vouch for an ID token from the token endpoint, so here its signature must.
      execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
    })
    options = bind ? { DPoP: client.getDPoPHandle(config, await client.randomDPoPKeyPair()) } : {}
    redirectUri = redirect_uri
    checks = {
      pkceCodeVerifier: client.randomPKCECodeVerifier(),
      expectedState: client.randomState(),
      expectedNonce: client.randomNonce(),
      idTokenExpected: true,
    }
    if (parameters.max_age !== undefined) checks.maxAge = Number(parameters.max_age)
    const wanted = {
      ...parameters,
      redirect_uri: redirectUri,
      code_challenge: await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier),
      code_challenge_method: 'S256',
      state: checks.expectedState,
      nonce: checks.expectedNonce,
    }
    if (push) return (await client.buildAuthorizationUrlWithPAR(config, wanted, options)).href
    if (bind) wanted.dpop_jkt = await options.DPoP.calculateThumbprint()
    return client.buildAuthorizationUrl(config, wanted).href
  },

  // Exchange the code that the person came back with.
  async exchange({ url }) {
    tokens = await client.authorizationCodeGrant(config, new URL(url), checks, undefined, options)
    return described(tokens)
  },

  userinfo() {
    return client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub, options)
  },

  async read({ url }) {
    const args = [config, tokens.access_token, new URL(url), 'GET', undefined, undefined, options]
    const response = await client.fetchProtectedResource(...args)
    return { status: response.status, body: await response.json() }
  },

  // Refresh; the steps that follow use the new tokens.
  async refresh() {
    const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token, undefined, options)
    tokens.access_token = refreshed.access_token
    if (refreshed.refresh_token) tokens.refresh_token = refreshed.refresh_token
    return described(refreshed)
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const { step, ...request } = JSON.parse(line)
  let outcome
  try {
    outcome = { answer: await STEPS[step](request) }
  } catch (error) {
    outcome = { error: { code: error.error ?? error.code ?? error.name, said: inspect(error, { depth: 4 }) } }
  }
  console.log(JSON.stringify(outcome))
}
