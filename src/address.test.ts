import { describe, expect, it } from 'vitest'
import { makeKey } from '../test/support/issuer.js'
import {
  checkIssuerUrl,
  checkUrl,
  describeAddress,
  isLoopback,
  isSpecialAddress,
  refuseMetadataUrl,
  refuseUrl,
} from './address.js'
import { introspection } from './inbound/introspection.js'
import { jwtBearer } from './inbound/jwt-bearer.js'
import { keycloakTokens } from './inbound/presets/keycloak.js'
import { oktaTokens } from './inbound/presets/okta.js'
import { workloadToken } from './inbound/workload-token.js'
import { oauth2 } from './providers/oauth2.js'
import { WorkloadIdentity } from './workload/identity.js'

describe('refuseUrl', () => {
  const refused = [
    // loopback by its names and numbers
    'https://127.0.0.1/',
    'https://127.0.0.2:8443/',
    'https://127.1/',
    'https://127.0.1/',
    'https://2130706433/',
    'https://0x7f000001/',
    'https://0x7f.1/',
    'https://0177.0.0.1/',
    'https://017700000001/',
    'https://127.0.0.1./',
    'https://localhost/',
    'https://LOCALHOST/',
    'https://localhost./',
    'https://a.localhost/',
    'https://a.localhost./',
    'https://[::1]/',
    'https://[0:0:0:0:0:0:0:1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:7f00:1]/',
    'https://[::127.0.0.1]/',
    'https://１２７.０.０.１/',
    'https://①②⑦.⓪.⓪.①/',
    'https://127。0。0。1/',
    'https://%6c%6f%63alhost/',
    // nobody and everybody
    'https://0.0.0.0/',
    'https://0/',
    'https://0.1.2.3/',
    'https://[::]/',
    'https://255.255.255.255/',
    'https://240.0.0.1/',
    'https://224.0.0.1/',
    'https://[ff02::1]/',
    // private and link-local
    'https://10.0.0.1/',
    'https://10.255.255.255/',
    'https://172.16.0.1/',
    'https://172.31.255.255/',
    'https://192.168.1.1/',
    'https://100.64.0.1/',
    'https://100.127.255.255/',
    'https://192.0.0.8/',
    'https://198.18.0.1/',
    'https://198.19.255.255/',
    'https://[fe80::1]/',
    'https://[fc00::1]/',
    'https://[fd00:ec2::254]/',
    'https://[fec0::1]/',
    'https://[::ffff:10.0.0.1]/',
    'https://[::ffff:192.168.0.1]/',
    'https://0xa000001/',
    'https://012.0.0.1/',
    // documentation
    'https://192.0.2.1/',
    'https://198.51.100.7/',
    'https://203.0.113.9/',
    'https://[2001:db8::1]/',
    'https://[3fff::1]/',
    // what carries an IPv4 address on
    'https://[64:ff9b::7f00:1]/',
    'https://[64:ff9b::169.254.169.254]/',
    'https://[64:ff9b:1::1]/',
    'https://[2002:7f00:1::]/',
    'https://[2001::1]/',
    // metadata of clouds
    'https://169.254.169.254/',
    'https://2852039166/',
    'https://0xa9fea9fe/',
    'https://0251.0376.0251.0376/',
    'https://[::ffff:169.254.169.254]/',
    'https://[::ffff:a9fe:a9fe]/',
    'https://169.254.170.2/',
    'https://100.100.100.200/',
    'https://168.63.129.16/',
    'https://metadata.google.internal/',
    'https://metadata.google.internal./',
    'https://METADATA.goog/',
    'https://metadata/',
    'https://instance-data/',
    // user info
    'https://user@a.example/',
    'https://user:pass@a.example/',
    'https://:pass@a.example/',
    'https://a.example@127.0.0.1/',
    // other schemes
    'http://a.example/',
    'http://8.8.8.8/',
    'ftp://a.example/',
    'file:///etc/passwd',
    'data:text/plain,x',
    'blob:https://a.example/x',
    'javascript:alert(1)',
    'ws://a.example/',
    'gopher://a.example/',
  ]
  it.each(refused)('O37 J48 refuses %s', (text) => {
    expect(refuseUrl(new URL(text), false)).toEqual(expect.any(String))
  })

  const allowed = [
    'https://a.example/',
    'https://a.example:8443/x?y',
    'https://a.example./',
    'https://8.8.8.8/',
    'https://1.1.1.1/',
    'https://9.255.255.255/',
    'https://11.0.0.1/',
    'https://172.15.255.255/',
    'https://172.32.0.1/',
    'https://192.167.1.1/',
    'https://192.169.1.1/',
    'https://100.63.255.255/',
    'https://100.128.0.1/',
    'https://169.253.1.1/',
    'https://198.17.0.1/',
    'https://198.20.0.1/',
    'https://192.0.1.1/',
    'https://168.63.129.17/',
    'https://223.255.255.255/',
    'https://[2606:4700::1111]/',
    'https://[2001:4860:4860::8888]/',
    'https://[::ffff:8.8.8.8]/',
    'https://localhost.example/',
    'https://notlocalhost/',
    'https://login.corp.internal/',
    'https://127.0.0.1.example/',
    'https://xn--bcher-kva.example/',
    'https://metadata.example/',
  ]
  it.each(allowed)('O37 allows %s', (text) => {
    expect(refuseUrl(new URL(text), false)).toBeUndefined()
    expect(refuseUrl(new URL(text), true)).toBeUndefined()
  })

  it.each(['http://127.0.0.1:1/', 'http://localhost:1/', 'http://[::1]:1/', 'https://127.0.0.9/'])(
    'allows %s with allowInsecureLoopback only',
    (text) => {
      expect(refuseUrl(new URL(text), true)).toBeUndefined()
      expect(refuseUrl(new URL(text), false)).toContain('allowInsecureLoopback')
    },
  )

  it('O37 allowInsecureLoopback opens the three loopback hosts and nothing else', () => {
    const others = refused.filter((text) => !isLoopback(new URL(text).hostname))
    expect(others.length).toBeGreaterThan(60)
    for (const text of others)
      expect([text, refuseUrl(new URL(text), true)]).not.toContain(undefined)
    expect(refuseUrl(new URL('http://user@127.0.0.1/'), true)).toContain('user info')
    expect(refuseUrl(new URL('http://a.example/'), true)).toContain('https')
  })

  it('judges the hostname as the URL parser writes it', () => {
    expect(isSpecialAddress('')).toBe(true)
    expect(isSpecialAddress('[::ffff:a00:1]')).toBe(true)
    expect(isLoopback('127.0.0.1.example')).toBe(false)
  })
})

describe('describeAddress', () => {
  it.each([
    ['https://user:s3cr3t@a.example/p?key=s3cr3t#s3cr3t', 'https://a.example/p'],
    ['https://user:s3cr3t@:bad:/x?s3cr3t', '…:bad:/x…'],
    ['not an address', 'not an address'],
    [undefined, 'undefined'],
    [Object.create(null), 'object'],
    ['https://a.example/\u202E', 'https://a.example/%E2%80%AE'],
  ])('W05 shows neither password nor query: %s', (address, shown) => {
    expect(describeAddress(address)).toBe(shown)
  })
})

describe('checkUrl', () => {
  it.each<[unknown, string]>([
    [undefined, 'jwksUri must be an absolute URL; got undefined.'],
    [5, 'jwksUri must be an absolute URL; got 5.'],
    ['/jwks', 'jwksUri must be an absolute URL; got /jwks.'],
    ['https://u:s3cr3t@:bad:/?s3cr3t', 'jwksUri must be an absolute URL; got …:bad:/….'],
    ['https://u:s3cr3t@a.example/', 'jwksUri https://a.example/ carries user info; remove it.'],
    ['https://10.0.0.1/k?s3cr3t', expect.stringMatching(/^jwksUri https:\/\/10\.0\.0\.1\/k is a/)],
    ['http://a.example/', expect.stringMatching(/^jwksUri http:\/\/a\.example\/ is not https/)],
    ['http://localhost:1/', expect.stringContaining('allowInsecureLoopback: true')],
    ['https://a.example/#s3cr3t', 'jwksUri https://a.example/ has a fragment; remove it.'],
    ['https://a.example/#', 'jwksUri https://a.example/ has a fragment; remove it.'],
  ])('O37 W05 names the option and shows neither password nor query: %s', (value, message) => {
    const check = () => checkUrl(value, 'jwksUri', false)
    expect(check).toThrow(TypeError)
    expect(check).toThrow(expect.objectContaining({ message }))
  })

  it('gives the URL as it is written', () => {
    expect(checkUrl('https://A.example:443', 'issuer', false)).toBe('https://A.example:443')
    expect(checkUrl('http://localhost:1', 'issuer', true)).toBe('http://localhost:1')
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
