import { describe, expect, it } from 'vitest'
import { InboundVerifier } from '../../../test/support/inbound-verifier.js'
import { codeOf, fakeClock, makeKey, signToken } from '../../../test/support/issuer.js'
import { jwtBearer } from '../jwt-bearer.js'
import type { JwtBearerOptions } from '../jwt-bearer-options.js'
import { auth0Tokens } from './auth0.js'
import { cognitoTokens } from './cognito.js'
import { entraIdTokens } from './entra-id.js'
import { googleServiceAccountTokens } from './google.js'
import { keycloakTokens } from './keycloak.js'
import { oktaTokens } from './okta.js'
import { rfc9068Tokens } from './rfc9068.js'

const key = makeKey('RS256')
const clock = fakeClock()
const now = clock() / 1000
const times = { iat: now, exp: now + 300 }
const tid = '11111111-2222-3333-4444-555555555555'
const otherTid = '99999999-2222-3333-4444-555555555555'
const entra = { aud: 'app', tid, oid: 'o1', ...times }
const entra2 = { ...entra, iss: `https://login.microsoftonline.com/${tid}/v2.0`, ver: '2.0' }
const entra1 = { ...entra, iss: `https://sts.windows.net/${tid}/`, ver: '1.0' }

/** A preset, and an access token that its vendor would issue to a user. */
const vendors = {
  cognito: {
    options: cognitoTokens({ userPoolId: 'eu-west-1_Ab12Cd34E', allowedClients: ['web'] }),
    claims: {
      iss: 'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Ab12Cd34E',
      sub: 'u1',
      username: 'ana',
      client_id: 'web',
      token_use: 'access',
      scope: 'openid calendar/read',
      ...times,
    },
  },
  okta: {
    options: oktaTokens({
      issuer: 'https://acme.okta.com/oauth2/default',
      allowedAudience: ['api://default'],
    }),
    claims: {
      ver: 1,
      iss: 'https://acme.okta.com/oauth2/default',
      aud: 'api://default',
      sub: 'ana@acme.example',
      jti: 'AT.x',
      cid: '0oa1',
      uid: '00u1',
      scp: ['openid', 'read'],
      ...times,
    },
  },
  entra: {
    options: entraIdTokens({ tenantId: tid, allowedAudience: ['app'] }),
    claims: { ...entra2, sub: 's1', azp: 'web', scp: 'Files.Read User.Read', roles: ['Admin'] },
  },
  auth0: {
    options: auth0Tokens({ domain: 'acme.eu.auth0.com', allowedAudience: ['https://api'] }),
    claims: {
      iss: 'https://acme.eu.auth0.com/',
      aud: ['https://api', 'https://acme.eu.auth0.com/userinfo'],
      sub: 'auth0|1',
      azp: 'web',
      scope: 'openid read',
      permissions: ['write'],
      ...times,
    },
  },
  keycloak: {
    options: keycloakTokens({
      issuer: 'https://sso.example.com/realms/acme',
      allowedAudience: ['agent'],
    }),
    claims: {
      iss: 'https://sso.example.com/realms/acme',
      aud: ['agent', 'account'],
      sub: 'u1',
      typ: 'Bearer',
      azp: 'web',
      preferred_username: 'ana',
      realm_access: { roles: ['staff'] },
      scope: 'email read',
      ...times,
    },
  },
  google: {
    options: googleServiceAccountTokens({
      allowedAudience: ['https://agent.example'],
      allowedServiceAccounts: ['caller@p.iam.gserviceaccount.com'],
    }),
    claims: {
      iss: 'https://accounts.google.com',
      aud: 'https://agent.example',
      sub: '1117',
      azp: '1117',
      email: 'caller@p.iam.gserviceaccount.com',
      email_verified: true,
      ...times,
    },
  },
  rfc9068: {
    options: rfc9068Tokens({ issuer: 'https://idp.example', allowedAudience: ['agent'] }),
    header: { typ: 'at+jwt' },
    claims: {
      iss: 'https://idp.example',
      aud: 'agent',
      sub: 'u1',
      client_id: 'web',
      jti: 'j1',
      scope: 'read',
      ...times,
    },
  },
} satisfies Record<string, { options: JwtBearerOptions; claims: object; header?: object }>
type Vendor = keyof typeof vendors

const withKey = (options: JwtBearerOptions, good?: () => string) =>
  new InboundVerifier(
    {
      authenticators: [jwtBearer({ ...options, jwksUri: undefined, jwks: { keys: [key.jwk] } })],
      clock,
    },
    good,
  )
function present(vendor: Vendor, changes: object = {}, header?: object) {
  const { options, claims, ...more } = vendors[vendor]
  const own = 'header' in more ? more.header : {}
  return withKey(options, () => signToken(key, claims, own)).verifyToken(
    signToken(key, { ...claims, ...changes }, header ?? own),
  )
}

describe('presets', () => {
  it.each<[Vendor, string | undefined, string[], string, boolean]>([
    ['cognito', 'web', ['openid', 'calendar/read'], 'u1', true],
    ['okta', '0oa1', ['openid', 'read'], 'ana@acme.example', true],
    ['entra', 'web', ['Files.Read', 'User.Read'], 's1', true],
    ['auth0', 'web', ['openid', 'read'], 'auth0|1', true],
    ['keycloak', 'web', ['email', 'read'], 'u1', true],
    ['google', '1117', [], '1117', false],
    ['rfc9068', 'web', ['read'], 'u1', true],
  ])('J41 J58 %s: client %s, scopes %j', async (vendor, clientId, scopes, subject, isUser) => {
    const principal = await present(vendor)
    const { iss } = vendors[vendor].claims
    expect(principal).toMatchObject({ clientId, scopes, subject, issuer: iss })
    expect(principal.user).toEqual(isUser ? { issuer: iss, subject } : undefined)
  })

  it.each<[Vendor, object]>([
    ['cognito', { sub: 'web', username: undefined }],
    ['cognito', { sub: 'machine', username: undefined }],
    ['okta', { sub: '0oa1', uid: undefined }],
    ['entra', { idtyp: 'app', scp: undefined }],
    ['entra', { scp: undefined }],
    ['entra', { ...entra1, appid: 'web', azp: undefined, scp: undefined }],
    ['auth0', { sub: 'web@clients', gty: 'client-credentials' }],
    ['auth0', { sub: 'web@clients' }],
    ['keycloak', { azp: 'Web', preferred_username: 'service-account-web' }],
    ['google', {}],
    ['rfc9068', { sub: 'web' }],
  ])('%s knows a machine: %j', async (vendor, changes) => {
    expect((await present(vendor, changes)).user).toBeUndefined()
  })

  it.each<[Vendor, object]>([
    ['keycloak', { preferred_username: 'service-account-other' }],
    ['entra', { idtyp: 'user' }],
  ])('%s knows a user: %j', async (vendor, changes) => {
    expect((await present(vendor, changes)).user).toBeDefined()
  })

  it.each<[Vendor, object, object?]>([
    ['cognito', { token_use: 'id', aud: 'web' }],
    ['cognito', { token_use: undefined }],
    ['cognito', { token_use: 'Access' }],
    ['okta', { jti: 'ID.x' }],
    ['okta', { jti: 'ID.x', cid: undefined, aud: 'api://default' }],
    ['okta', { cid: undefined }],
    ['okta', {}, { typ: 'application/okta-internal-at+jwt' }],
    ['entra', { azp: undefined, nonce: 'n' }],
    ['entra', { azp: undefined }],
    ['entra', { azp: undefined, appid: 'web' }],
    ['auth0', { azp: undefined }],
    ['keycloak', { typ: 'ID' }],
    ['keycloak', { typ: 'Refresh' }],
    ['keycloak', { typ: undefined }],
    ['keycloak', { typ: 'Logout' }],
    ['google', { email_verified: false }],
    ['google', { email: 'other@p.iam.gserviceaccount.com' }],
    ['google', { email: undefined }],
    ['google', { azp: 'web.apps.googleusercontent.com' }],
    ['google', { nonce: 'n' }],
    ['rfc9068', {}, {}],
    ['rfc9068', {}, { typ: 'JWT' }],
    ['rfc9068', { jti: undefined }, { typ: 'at+jwt' }],
    ['rfc9068', { client_id: undefined }, { typ: 'at+jwt' }],
    ['rfc9068', { iat: undefined }, { typ: 'at+jwt' }],
  ])('J42 %s refuses what is no access token: %j %j', async (vendor, changes, header) => {
    expect(await codeOf(present(vendor, changes, header))).toBe('ERR_TOKEN_TYPE')
  })

  it.each(Object.keys(vendors) as Vendor[])(
    'J44 %s refuses tokens of other types',
    async (vendor) => {
      for (const typ of [
        'logout+jwt',
        'dpop+jwt',
        'secevent+jwt',
        'client-authentication+jwt',
        'workload-access-token+jwt',
        'wit+jwt',
        'wpt+jwt',
        'dc+sd-jwt',
        'txntoken+jwt',
        'oauth-id-jag+jwt',
      ]) {
        expect(await codeOf(present(vendor, {}, { typ })), typ).toBe('ERR_TOKEN_TYPE')
      }
    },
  )

  it('J43 rfc9068 reads typ as a media type', async () => {
    for (const typ of ['AT+JWT', 'application/at+jwt', 'Application/AT+jwt']) {
      expect(await codeOf(present('rfc9068', {}, { typ }))).toBeUndefined()
    }
  })

  it.each<[string, object, string | undefined]>([
    ['version 1', { ...entra1, appid: 'web', azp: undefined }, undefined],
    [
      'another tenant',
      { iss: `https://login.microsoftonline.com/${otherTid}/v2.0`, tid: otherTid },
      'ERR_UNKNOWN_ISSUER',
    ],
    ['the issuer of one tenant and the tid of another', { tid: otherTid }, 'ERR_TOKEN_TYPE'],
    ['no tid', { tid: undefined }, 'ERR_TOKEN_TYPE'],
    ['the version of the other issuer', { ver: '1.0' }, 'ERR_TOKEN_TYPE'],
    [
      'version 1 at its own issuer without a slash',
      { ...entra1, iss: `https://sts.windows.net/${tid}` },
      'ERR_UNKNOWN_ISSUER',
    ],
    [
      'the template',
      { iss: 'https://login.microsoftonline.com/{tenantid}/v2.0' },
      'ERR_UNKNOWN_ISSUER',
    ],
    [
      'the common endpoint',
      { iss: 'https://login.microsoftonline.com/common/v2.0' },
      'ERR_UNKNOWN_ISSUER',
    ],
  ])('J45 J46 entra with %s', async (_, changes, code) => {
    expect(await codeOf(present('entra', changes))).toBe(code)
  })

  const entraAt = (authority?: string) =>
    entraIdTokens({ tenantId: tid, allowedAudience: ['app'], authority })
  const cognitoAt = (userPoolId: string) => cognitoTokens({ userPoolId, allowedClients: ['web'] })
  const us = 'https://login.microsoftonline.us'
  const cn = 'https://login.partner.microsoftonline.cn'
  const ciam = 'https://acme.ciamlogin.com'
  const v2 = { ver: '2.0', azp: 'web' }
  const v1 = { ver: '1.0', azp: undefined, appid: 'web' }
  it.each<[string, JwtBearerOptions, Vendor, object, string | undefined]>([
    // old and new issuer of a pool, in each partition
    [
      'cognito',
      cognitoAt('eu-west-1_A'),
      'cognito',
      { iss: 'https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_A' },
      undefined,
    ],
    [
      'cognito, updated',
      cognitoAt('eu-west-1_A'),
      'cognito',
      { iss: 'https://issuer-cognito-idp.eu-west-1.amazonaws.com/eu-west-1_A' },
      undefined,
    ],
    [
      'cognito, China',
      cognitoAt('cn-north-1_A'),
      'cognito',
      { iss: 'https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_A' },
      undefined,
    ],
    [
      'cognito, European sovereign',
      cognitoAt('eusc-de-east-1_A'),
      'cognito',
      { iss: 'https://cognito-idp.eusc-de-east-1.amazonaws.eu/eusc-de-east-1_A' },
      undefined,
    ],
    [
      'cognito, another domain',
      cognitoAt('eusc-de-east-1_A'),
      'cognito',
      { iss: 'https://cognito-idp.eusc-de-east-1.amazonaws.com/eusc-de-east-1_A' },
      'ERR_UNKNOWN_ISSUER',
    ],
    [
      'cognito, another pool',
      cognitoAt('eu-west-1_A'),
      'cognito',
      { iss: 'https://issuer-cognito-idp.eu-west-1.amazonaws.com/eu-west-1_B' },
      'ERR_UNKNOWN_ISSUER',
    ],
    [
      'cognito, another region',
      cognitoAt('eu-west-1_A'),
      'cognito',
      { iss: 'https://issuer-cognito-idp.us-east-1.amazonaws.com/eu-west-1_A' },
      'ERR_UNKNOWN_ISSUER',
    ],
    [
      'cognito, updated, an ID token',
      cognitoAt('eu-west-1_A'),
      'cognito',
      {
        iss: 'https://issuer-cognito-idp.eu-west-1.amazonaws.com/eu-west-1_A',
        token_use: 'id',
        aud: 'web',
      },
      'ERR_TOKEN_TYPE',
    ],
    // the clouds
    ['entra, US', entraAt(us), 'entra', { ...v2, iss: `${us}/${tid}/v2.0` }, undefined],
    [
      'entra, US, version 1',
      entraAt(us),
      'entra',
      { ...v1, iss: `https://sts.windows.net/${tid}/` },
      undefined,
    ],
    ['entra, US, of the public cloud', entraAt(us), 'entra', v2, 'ERR_UNKNOWN_ISSUER'],
    ['entra, China', entraAt(cn), 'entra', { ...v2, iss: `${cn}/${tid}/v2.0` }, undefined],
    [
      'entra, China, version 1',
      entraAt(cn),
      'entra',
      { ...v1, iss: `https://sts.chinacloudapi.cn/${tid}/` },
      undefined,
    ],
    [
      'entra, public, of China',
      entraAt(),
      'entra',
      { ...v1, iss: `https://sts.chinacloudapi.cn/${tid}/` },
      'ERR_UNKNOWN_ISSUER',
    ],
    [
      'entra, External ID',
      entraAt(ciam),
      'entra',
      { ...v2, iss: `https://${tid}.ciamlogin.com/${tid}/v2.0` },
      undefined,
    ],
    [
      'entra, External ID, another tenant',
      entraAt(ciam),
      'entra',
      { ...v2, iss: `https://${otherTid}.ciamlogin.com/${otherTid}/v2.0`, tid: otherTid },
      'ERR_UNKNOWN_ISSUER',
    ],
    [
      'entra, External ID, version 1',
      entraAt(ciam),
      'entra',
      { ...v1, iss: `https://sts.windows.net/${tid}/` },
      'ERR_UNKNOWN_ISSUER',
    ],
    [
      'entra, External ID, an ID token',
      entraAt(ciam),
      'entra',
      { ver: '2.0', azp: undefined, iss: `https://${tid}.ciamlogin.com/${tid}/v2.0` },
      'ERR_TOKEN_TYPE',
    ],
  ])('J45 J46 %s', async (_, options, vendor, changes, code) => {
    const token = signToken(key, { ...vendors[vendor].claims, ...changes })
    expect(await codeOf(withKey(options).verifyToken(token))).toBe(code)
  })

  it('asks the cloud of the tenant for its keys', () => {
    expect(entraAt(ciam).jwksUri).toBe(`${ciam}/${tid}/discovery/v2.0/keys`)
    expect(entraAt(cn).jwksUri).toBe(`${cn}/${tid}/discovery/v2.0/keys`)
    expect(cognitoAt('eusc-de-east-1_A').jwksUri).toBe(
      'https://cognito-idp.eusc-de-east-1.amazonaws.eu/eusc-de-east-1_A/.well-known/jwks.json',
    )
    for (const authority of [
      'https://evil.example',
      `${us}/`,
      'https://a.b.ciamlogin.com',
      'https://ciamlogin.com',
      '',
    ]) {
      expect(() => entraAt(authority)).toThrow(/^authority must be/)
    }
  })

  it('J46 stands beside itself for several tenants', () => {
    const authenticators = [tid, otherTid].map((tenantId) =>
      jwtBearer(entraIdTokens({ tenantId, allowedAudience: ['app'] })),
    )
    expect(new InboundVerifier({ authenticators })).toBeDefined()
  })

  it('takes app roles for the scopes of an application, and not for those of a user', async () => {
    expect((await present('entra', { scp: undefined })).scopes).toEqual(['Admin'])
    expect((await present('entra')).scopes).not.toContain('Admin')
  })

  it('takes the permissions of Auth0 for scopes only when told to', async () => {
    const options = auth0Tokens({
      domain: 'acme.eu.auth0.com',
      allowedAudience: ['https://api'],
      permissionsAsScopes: true,
    })
    const token = signToken(key, vendors.auth0.claims)
    expect((await withKey(options).verifyToken(token)).scopes).toEqual(['write'])
  })

  it('J41 asks for the client where a Cognito token has no audience', async () => {
    expect(await codeOf(present('cognito', { client_id: 'other' }))).toBe('ERR_CLIENT_NOT_ALLOWED')
    const bound = cognitoTokens({
      userPoolId: 'eu-west-1_Ab12Cd34E',
      allowedClients: ['web'],
      allowedAudience: ['https://agent.example'],
    })
    const sign = (changes: object) => signToken(key, { ...vendors.cognito.claims, ...changes })
    const verifier = withKey(bound)
    expect(await codeOf(verifier.verifyToken(sign({})))).toBe('ERR_AUDIENCE_MISMATCH')
    const good = sign({ aud: 'https://agent.example' })
    expect(await codeOf(verifier.verifyToken(good))).toBeUndefined()
  })

  it('passes the other options on', async () => {
    const options = oktaTokens({
      issuer: 'https://acme.okta.com/oauth2/default',
      allowedAudience: ['api://default'],
      allowedScopes: ['write'],
    })
    const refused = withKey(options).verifyToken(signToken(key, vendors.okta.claims))
    expect(await codeOf(refused)).toBe('ERR_INSUFFICIENT_SCOPE')
  })

  it.each<[string, () => unknown, RegExp]>([
    ['cognito', () => cognitoTokens({ userPoolId: 'Ab12', allowedClients: ['a'] }), /userPoolId/],
    [
      'cognito',
      () => jwtBearer(cognitoTokens({ userPoolId: 'eu-west-1_A' } as never)),
      /allowedClients/,
    ],
    [
      'okta',
      () => oktaTokens({ issuer: 'https://acme.okta.com', allowedAudience: ['a'] }),
      /issuer/,
    ],
    [
      'entra',
      () => entraIdTokens({ tenantId: 'common', allowedAudience: ['a'] }),
      /tenantId .*"common"/,
    ],
    [
      'auth0',
      () => auth0Tokens({ domain: 'https://a.auth0.com/', allowedAudience: ['a'] }),
      /domain/,
    ],
    [
      'auth0',
      () =>
        auth0Tokens({
          domain: 'a.auth0.com',
          allowedAudience: ['a'],
          permissionsAsScopes: 1 as never,
        }),
      /permissionsAsScopes/,
    ],
    [
      'keycloak',
      () => keycloakTokens({ issuer: 'https://sso.example.com', allowedAudience: ['a'] }),
      /issuer/,
    ],
    [
      'google',
      () =>
        googleServiceAccountTokens({
          allowedAudience: ['a'],
          allowedServiceAccounts: ['a@gmail.com'],
        }),
      /allowedServiceAccounts/,
    ],
    [
      'a typing error',
      () =>
        jwtBearer(
          rfc9068Tokens({
            issuer: 'https://a.example',
            allowedAudience: ['a'],
            scopes: ['a'],
          } as never),
        ),
      /no option "scopes"/,
    ],
    [
      'a profile',
      () => jwtBearer({ ...vendors.auth0.options, profile: { clientClaim: 'x' } as never }),
      /profile has no option "clientClaim"/,
    ],
    [
      'a profile',
      () => jwtBearer({ ...vendors.auth0.options, profile: { scopeClaims: [] } }),
      /profile\.scopeClaims/,
    ],
    [
      'a profile',
      () => jwtBearer({ ...vendors.auth0.options, profile: { refuse: 'x' as never } }),
      /profile\.refuse/,
    ],
    [
      'a profile',
      () => jwtBearer({ ...vendors.auth0.options, profile: 'okta' as never }),
      /profile takes an object of options; got string/,
    ],
  ])('%s refuses a wrong option by its name', (_, make, message) => {
    expect(make).toThrow(TypeError)
    expect(make).toThrow(message)
  })
})
