// An OpenID Connect provider that nobody here wrote, as a hospital might have one: `node identity_provider.mjs JSON`.
//
// The JSON has issuer, port, clients (as oidc-provider takes them) and claims ({subject: {claim: value}}). Whoever is
// named at its sign-in page is signed in. It says "ready" on standard output once it listens.

import Provider from 'oidc-provider'

const { issuer, port, clients, claims } = JSON.parse(process.argv[2])

const provider = new Provider(issuer, {
  clients,
  claims: { openid: ['sub', 'fhirUser', 'preferred_username', 'employee'] },
  conformIdTokenClaims: false,
  cookies: { keys: ['tests only'] },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/sign-in/${interaction.uid}` },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...claims[id] }) }),
  // Nobody is asked what is shared: the hospital's apps belong to the hospital.
  async loadExistingGrant(context) {
    const grant = new context.oidc.provider.Grant({
      clientId: context.oidc.client.clientId,
      accountId: context.oidc.session.accountId,
    })
    grant.addOIDCScope(context.oidc.params.scope)
    await grant.save()
    return grant
  },
})

async function body(request) {
  let text = ''
  for await (const part of request) text += part
  return new URLSearchParams(text)
}

provider.use(async (context, next) => {
  if (!context.path.startsWith('/sign-in/')) return next()
  const { prompt, params } = await provider.interactionDetails(context.req, context.res)
  if (context.method === 'GET') {
    context.type = 'html'
    context.body = `<!doctype html><title>Hospital</title><h1>Hospital</h1><p id="asked">${prompt.reasons.join(' ')}</p>
<form method="post"><label>Name <input name="login" value="${encodeURIComponent(params.login_hint ?? '')}"></label>
<button name="answer" value="in">Sign in</button> <button name="answer" value="no">Cancel</button></form>`
    return undefined
  }
  const form = await body(context.req)
  const result =
    form.get('answer') === 'no'
      ? { error: 'access_denied', error_description: 'cancelled' }
      : { login: { accountId: form.get('login') } }
  return provider.interactionFinished(context.req, context.res, result, { mergeWithLastSubmission: false })
})

provider.listen(port, '127.0.0.1', () => console.log('ready'))
