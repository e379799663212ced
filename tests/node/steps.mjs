// Drives a library from outside.
//
// Every line on standard input is a request in JSON, {"step": name, "session": name, ...}; every line on standard output
// is its answer: {"answer": ...}, or {"error": ...} with what the library said. A session keeps its state between steps.

import { webcrypto } from 'node:crypto'
import { createInterface } from 'node:readline'
import { inspect } from 'node:util'

// Both libraries throw errors of these shapes: an OAuth error of a body or callback, challenges of a header, their own.
function described(error) {
  const challenges = Array.isArray(error.cause) ? error.cause : []
  const told = challenges.map(({ parameters }) => parameters.error).find((code) => code !== undefined)
  return {
    kind: error.constructor.name,
    code: error.error ?? told ?? error.code ?? error.name,
    status: error.status ?? null,
    schemes: challenges.map(({ scheme }) => scheme),
    said: inspect(error, { depth: 4 }),
  }
}

// The fetch of a session, which notes what was asked and how it was answered: [path, status].
function noting(answered) {
  return async (url, options) => {
    const response = await fetch(url, options)
    answered.push([new URL(url).pathname, response.status])
    return response
  }
}

// How a client proves who it is. Both libraries name the ways alike.
export async function authentication(library, { method, secret, key }) {
  if (method === 'client_secret_basic') return library.ClientSecretBasic(secret)
  if (method === 'client_secret_post') return library.ClientSecretPost(secret)
  if (method === 'none') return library.None()
  const algorithm =
    key.kty === 'EC'
      ? { name: 'ECDSA', namedCurve: key.crv }
      : { name: 'RSASSA-PKCS1-v1_5', hash: `SHA-${key.alg.slice(2)}` }
  return library.PrivateKeyJwt({
    key: await webcrypto.subtle.importKey('jwk', key, algorithm, false, ['sign']),
    kid: key.kid,
  })
}

// Answer until standard input ends.
export async function serve(steps) {
  const sessions = new Map()
  for await (const line of createInterface({ input: process.stdin })) {
    const { step, session: name, ...request } = JSON.parse(line)
    if (!sessions.has(name)) {
      const answered = []
      sessions.set(name, { answered, fetch: noting(answered) })
    }
    const session = sessions.get(name)
    let outcome
    try {
      if (step === 'answered') outcome = { answer: session.answered.splice(0) }
      else outcome = { answer: (await steps[step](session, request)) ?? null }
    } catch (error) {
      outcome = { error: described(error) }
    }
    console.log(JSON.stringify(outcome))
  }
}
