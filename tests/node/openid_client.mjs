// An OpenID Connect client nobody here wrote: openid-client. See steps.mjs for how it is driven.

import * as client from 'openid-client'
import { authentication, serve } from './steps.mjs'

// A token response, with the claims that the library accepted.
function described(response) {
  return { ...response, claims: response.claims() ?? null }
}

await serve({
  // Read a metadata document and return it as accepted. `algorithm`: "oidc" or "oauth2" (RFC 8414).
  // `bind`: use a key pair for tokens (RFC 9449).
  async discover(session, { issuer, algorithm, client_id, authenticate, metadata, bind }) {
    const proof = await authentication(client, authenticate)
    session.config = await client.discovery(new URL(issuer), client_id, metadata, proof, {
      algorithm,
      [client.customFetch]: session.fetch,
      // Loopback speaks http. TLS would vouch for an ID token from the token endpoint, so here its signature must.
      execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
    })
    session.keyPair = bind ? await client.randomDPoPKeyPair() : undefined
    session.options = bind ? { DPoP: client.getDPoPHandle(session.config, session.keyPair) } : {}
    return session.config.serverMetadata()
  },

  // Go on with the same key pair, but without any nonce of the server.
  forget_nonces(session) {
    session.options = { DPoP: client.getDPoPHandle(session.config, session.keyPair) }
  },

  // Return the URL to send the person to. `push`: hand the request over first (RFC 9126).
  async authorize(session, { redirect_uri, parameters, push }) {
    const { config, options } = session
    session.checks = {
      pkceCodeVerifier: client.randomPKCECodeVerifier(),
      expectedState: client.randomState(),
      expectedNonce: client.randomNonce(),
      idTokenExpected: true,
    }
    if (parameters.max_age !== undefined) session.checks.maxAge = Number(parameters.max_age)
    const wanted = {
      ...parameters,
      redirect_uri,
      code_challenge: await client.calculatePKCECodeChallenge(session.checks.pkceCodeVerifier),
      code_challenge_method: 'S256',
      state: session.checks.expectedState,
      nonce: session.checks.expectedNonce,
    }
    if (push) return (await client.buildAuthorizationUrlWithPAR(config, wanted, options)).href
    if (options.DPoP) wanted.dpop_jkt = await options.DPoP.calculateThumbprint()
    return client.buildAuthorizationUrl(config, wanted).href
  },

  // Exchange the code that the person came back with.
  async exchange(session, { url }) {
    const { config, checks, options } = session
    session.tokens = await client.authorizationCodeGrant(config, new URL(url), checks, undefined, options)
    return described(session.tokens)
  },

  // Refresh; the steps that follow use the new tokens.
  async refresh(session, { token, parameters }) {
    const shown = token ?? session.tokens.refresh_token
    const refreshed = await client.refreshTokenGrant(session.config, shown, parameters, session.options)
    session.tokens.access_token = refreshed.access_token
    if (refreshed.refresh_token) session.tokens.refresh_token = refreshed.refresh_token
    return described(refreshed)
  },

  async client_credentials(session, { parameters }) {
    session.tokens = await client.clientCredentialsGrant(session.config, parameters, session.options)
    return session.tokens
  },

  grant({ config, options }, { grant_type, parameters }) {
    return client.genericGrantRequest(config, grant_type, parameters, options)
  },

  userinfo({ config, tokens, options }) {
    return client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub, options)
  },

  async read({ config, tokens, options }, { url, token }) {
    const args = [config, token ?? tokens.access_token, new URL(url), 'GET', undefined, undefined, options]
    const response = await client.fetchProtectedResource(...args)
    return { status: response.status, body: await response.json() }
  },

  introspect({ config }, { token }) {
    return client.tokenIntrospection(config, token)
  },

  revoke({ config }, { token, hint }) {
    return client.tokenRevocation(config, token, hint ? { token_type_hint: hint } : {})
  },

  end_session({ config, tokens }, { post_logout_redirect_uri, state }) {
    const hint = tokens.id_token
    return client.buildEndSessionUrl(config, { post_logout_redirect_uri, id_token_hint: hint, state }).href
  },
})
