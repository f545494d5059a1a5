import { describe, expect, it } from 'vitest'
import { issuersOf, metadataUrls } from './discovery.js'

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
