// An OAuth client nobody here wrote: oauth4webapi, which leaves each request to its caller and judges each response.
// See steps.mjs for how it is driven.

import * as oauth from 'oauth4webapi'
import { authentication, serve } from './steps.mjs'

// What every request of a session goes out with. Loopback speaks http.
function sending({ fetch, DPoP }, more) {
  return { [oauth.allowInsecureRequests]: true, [oauth.customFetch]: fetch, DPoP, ...more }
}

// Ask, and ask once more when the server wants a nonce in the proof. `once`: report that instead.
async function answered(ask, process, once = false) {
  for (const last of [once, true]) {
    try {
      const response = await ask()
      return [await process(response), response]
    } catch (error) {
      if (last || !oauth.isDPoPNonceError(error)) throw error
    }
  }
}

// A token response, with the claims that the library accepted.
function described(response) {
  return { ...response, claims: oauth.getValidatedIdTokenClaims(response) ?? null }
}

await serve({
  // Read a metadata document and return it as accepted. `algorithm`: "oidc" or "oauth2" (RFC 8414).
  // `bind`: use a key pair for tokens (RFC 9449).
  async discover(session, { issuer, algorithm, client_id, authenticate, metadata, bind }) {
    const response = await oauth.discoveryRequest(new URL(issuer), sending(session, { algorithm }))
    session.as = await oauth.processDiscoveryResponse(new URL(issuer), response)
    session.client = { client_id, ...metadata }
    session.proof = await authentication(oauth, authenticate)
    session.keyPair = bind ? await oauth.generateKeyPair('ES256') : undefined
    session.DPoP = bind ? oauth.DPoP(session.client, session.keyPair) : undefined
    return session.as
  },

  // Go on with the same key pair, but without any nonce of the server.
  forget_nonces(session) {
    session.DPoP = oauth.DPoP(session.client, session.keyPair)
  },

  // Return the URL to send the person to. `push`: hand the request over first (RFC 9126).
  async authorize(session, { redirect_uri, parameters, push }) {
    const { as, client, proof, DPoP } = session
    session.redirectUri = redirect_uri
    session.verifier = oauth.generateRandomCodeVerifier()
    session.state = oauth.generateRandomState()
    session.nonce = oauth.generateRandomNonce()
    session.maxAge = parameters.max_age === undefined ? undefined : Number(parameters.max_age)
    let wanted = {
      ...parameters,
      response_type: 'code',
      redirect_uri,
      code_challenge: await oauth.calculatePKCECodeChallenge(session.verifier),
      code_challenge_method: 'S256',
      state: session.state,
      nonce: session.nonce,
    }
    if (push) {
      const [pushed] = await answered(
        () => oauth.pushedAuthorizationRequest(as, client, proof, wanted, sending(session)),
        (response) => oauth.processPushedAuthorizationResponse(as, client, response),
      )
      wanted = { request_uri: pushed.request_uri }
    } else if (DPoP) {
      wanted.dpop_jkt = await DPoP.calculateThumbprint()
    }
    const url = new URL(as.authorization_endpoint)
    for (const [name, value] of Object.entries({ client_id: client.client_id, ...wanted })) {
      url.searchParams.set(name, value)
    }
    return url.href
  },

  // Judge a callback alone, by metadata that was read elsewhere, and return its parameters (RFC 9207).
  callback(session, { metadata, client_id, url, state }) {
    return Object.fromEntries(oauth.validateAuthResponse(metadata, { client_id }, new URL(url), state))
  },

  // Exchange the code that the person came back with.
  async exchange(session, { url, once }) {
    const { as, client, proof, redirectUri, verifier, state, nonce, maxAge } = session
    const callback = oauth.validateAuthResponse(as, client, new URL(url), state)
    const expected = { expectedNonce: nonce, maxAge, requireIdToken: true }
    const [tokens, response] = await answered(
      () =>
        oauth.authorizationCodeGrantRequest(as, client, proof, callback, redirectUri, verifier, sending(session)),
      (response) => oauth.processAuthorizationCodeResponse(as, client, response, expected),
      once,
    )
    await oauth.validateApplicationLevelSignature(as, response, sending(session))
    session.tokens = tokens
    session.subject = oauth.getValidatedIdTokenClaims(tokens).sub
    return described(tokens)
  },

  // Refresh; the steps that follow use the new tokens.
  async refresh(session, { token, parameters, once }) {
    const { as, client, proof } = session
    const shown = token ?? session.tokens.refresh_token
    const more = { additionalParameters: parameters ?? {} }
    const [refreshed] = await answered(
      () => oauth.refreshTokenGrantRequest(as, client, proof, shown, sending(session, more)),
      (response) => oauth.processRefreshTokenResponse(as, client, response),
      once,
    )
    session.tokens.access_token = refreshed.access_token
    if (refreshed.refresh_token) session.tokens.refresh_token = refreshed.refresh_token
    return described(refreshed)
  },

  async client_credentials(session, { parameters, once }) {
    const { as, client, proof } = session
    const [tokens] = await answered(
      () => oauth.clientCredentialsGrantRequest(as, client, proof, parameters, sending(session)),
      (response) => oauth.processClientCredentialsResponse(as, client, response),
      once,
    )
    session.tokens = tokens
    return tokens
  },

  async grant(session, { grant_type, parameters }) {
    const { as, client, proof } = session
    const response = await oauth.genericTokenEndpointRequest(as, client, proof, grant_type, parameters, sending(session))
    return oauth.processGenericTokenEndpointResponse(as, client, response)
  },

  async userinfo(session) {
    const { as, client, tokens, subject } = session
    const [claims] = await answered(
      () => oauth.userInfoRequest(as, client, tokens.access_token, sending(session)),
      (response) => oauth.processUserInfoResponse(as, client, subject, response),
    )
    return claims
  },

  async read(session, { url, token, once }) {
    const shown = token ?? session.tokens.access_token
    const [body, response] = await answered(
      () => oauth.protectedResourceRequest(shown, 'GET', new URL(url), undefined, null, sending(session)),
      (found) => found.json(),
      once,
    )
    return { status: response.status, body }
  },

  async introspect(session, { token }) {
    const { as, client, proof } = session
    const response = await oauth.introspectionRequest(as, client, proof, token, sending(session))
    return oauth.processIntrospectionResponse(as, client, response)
  },

  async revoke(session, { token, hint }) {
    const { as, client, proof } = session
    const more = { additionalParameters: hint ? { token_type_hint: hint } : {} }
    const response = await oauth.revocationRequest(as, client, proof, token, sending(session, more))
    return oauth.processRevocationResponse(response)
  },

  // Read what a FHIR base says about itself (RFC 9728).
  async resource(session, { url }) {
    const response = await oauth.resourceDiscoveryRequest(new URL(url), sending(session))
    return oauth.processResourceDiscoveryResponse(new URL(url), response)
  },

  // Judge the session's access token as a FHIR server of its own would: by our published keys (RFC 9068).
  validate({ as, tokens, ...session }, { audience }) {
    const headers = { authorization: `Bearer ${tokens.access_token}` }
    return oauth.validateJwtAccessToken(as, new Request(audience, { headers }), audience, sending(session))
  },
})
