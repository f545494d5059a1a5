import { describe, expect, it } from 'vitest'
import { makeKey } from '../test/support/issuer.js'
import { introspection } from './inbound/introspection.js'
import { jwtBearer } from './inbound/jwt-bearer.js'
import { keycloakTokens } from './inbound/presets/keycloak.js'
import { oktaTokens } from './inbound/presets/okta.js'
import { workloadToken } from './inbound/workload-token.js'
import { checkIssuerUrl, issuersOf, metadataUrls, refuseMetadataUrl } from './issuer.js'
import { oauth2 } from './providers/oauth2.js'
import { WorkloadIdentity } from './workload/identity.js'

describe('the places of metadata', () => {
  it.each([
    ['https://a.example/.well-known/openid-configuration', 'https://a.example'],
    ['https://a.example/t/.well-known/openid-configuration', 'https://a.example/t'],
    ['https://a.example/.well-known/oauth-authorization-server', 'https://a.example'],
    ['https://a.example/.well-known/oauth-authorization-server/t', 'https://a.example/t'],
  ])('J45 tells from %s the issuer without and with a slash', (url, base) => {
    expect(issuersOf(url)).toEqual([base, `${base}/`])
    expect(metadataUrls(base)).toContain(url)
  })

  it.each([
    'https://a.example/metadata',
    'https://a.example/.well-known/oauth-authorization-servers',
    'https://a.example/.well-known/openid-configuration?p=1',
  ])('J45 tells no issuer from %s', (url) => {
    expect(issuersOf(url)).toEqual([])
  })
})

describe('refuseMetadataUrl', () => {
  it.each([
    ['https://a.example/.well-known/openid-configuration', 'https://a.example'],
    ['https://a.example:8443/t/.well-known/openid-configuration', 'https://a.example:8443/t'],
    ['https://a.example/t/.well-known/openid-configuration/', 'https://a.example/t'],
    ['https://a.example/t/.well-known/openid-configuration?p=s3cr3t', 'https://a.example/t'],
    ['https://a.example/.well-known/openid-configuration/t', 'https://a.example/t'],
    ['https://a.example/.well-known/oauth-authorization-server', 'https://a.example'],
    ['https://a.example/.well-known/oauth-authorization-server/t/u', 'https://a.example/t/u'],
    ['https://a.example/t/.well-known/oauth-authorization-server', 'https://a.example/t'],
  ])('refuses %s and names the issuer', (value, issuer) => {
    const refuse = () => refuseMetadataUrl(value, 'issuer')
    expect(refuse).toThrow(TypeError)
    expect(refuse).toThrow(`Give the issuer itself: ${issuer}, with a slash`)
    expect(refuse).not.toThrow('s3cr3t')
  })

  it.each([
    'https://a.example',
    'https://a.example/',
    'https://a.example/.well-known',
    'https://a.example/.well-known/openid-configurations',
    'https://a.example/openid-configuration',
    'urn:example:issuer',
    'an iss that is no URL',
    undefined,
  ])('lets %s pass', (value) => {
    expect(() => refuseMetadataUrl(value, 'issuer')).not.toThrow()
  })

  const issuer = 'https://a.example/t/.well-known/openid-configuration'
  const client = { clientId: 'agent', clientSecret: 'canary-secret' }
  const allowedAudience = ['agent']
  const jwks = { keys: [makeKey().jwk] }
  it.each<[string, () => unknown]>([
    ['jwtBearer', () => jwtBearer({ issuer, allowedAudience })],
    ['jwtBearer, with keys of its own', () => jwtBearer({ issuer, allowedAudience, jwks })],
    ['jwtBearer, in a list', () => jwtBearer({ issuer: [issuer], allowedAudience, jwks })],
    ['introspection', () => introspection({ issuer, ...client, allowedAudience })],
    ['workloadToken', () => workloadToken({ issuer, allowedAudience, allowedWorkloads: null })],
    ['oktaTokens', () => oktaTokens({ issuer, allowedAudience })],
    ['keycloakTokens', () => keycloakTokens({ issuer, allowedAudience })],
    ['oauth2', () => oauth2({ issuer, ...client })],
    ['WorkloadIdentity', () => new WorkloadIdentity({ name: 'agent', issuer })],
  ])('is asked by %s', (_, make) => {
    expect(make).toThrow(TypeError)
    expect(make).toThrow(/^issuer .* Give the issuer itself: https:\/\/a\.example\/t,/)
  })
})

describe('checkIssuerUrl', () => {
  it.each(['https://a.example?s3cr3t', 'https://a.example/t?'])('refuses a query: %s', (value) => {
    const check = () => checkIssuerUrl(value, 'issuer', false)
    expect(check).toThrow(/^issuer https:\/\/a\.example\/t? must have no query/)
  })

  it('gives the issuer letter by letter', () => {
    expect(checkIssuerUrl('https://a.example', 'issuer', false)).toBe('https://a.example')
    expect(checkIssuerUrl('https://a.example/', 'issuer', false)).toBe('https://a.example/')
  })
})
