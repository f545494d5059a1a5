import { describe, expect, it } from 'vitest'
import { oauth2 } from '../providers/oauth2.js'
import { cameBackTo, checkRedirectUris, redirectUriOf } from './redirect-uri.js'

const at = 'https://app.example'
const provider = (redirectUri?: string) =>
  oauth2({ issuer: 'https://as.example', clientId: 'a', ...(redirectUri ? { redirectUri } : {}) })

describe('the redirect URI of a provider', () => {
  it('is its own, or the callback URL with its name', () => {
    expect(redirectUriOf('x', provider(`${at}/cb?p=x`), undefined)).toBe(`${at}/cb?p=x`)
    expect(redirectUriOf('x', provider(), `${at}/cb`)).toBe(`${at}/cb/x`)
    expect(redirectUriOf('x', provider(), undefined)).toBeUndefined()
  })

  it.each<[own: string | undefined, came: string, expected: boolean]>([
    [undefined, '/cb/x?code=k', true],
    [undefined, '/cb/y?code=k', false],
    ['/cb?p=x', '/cb?p=x&code=k&state=s', true],
    ['/cb?p=x', '/cb?code=k&p=x', true],
    ['/cb?p=x', '/cb?p=y&code=k', false],
    ['/cb?p=x', '/cb?code=k', false],
    ['/cb?p=x', '/cb?p=x&p=y', false],
    ['/cb?p=x', '/cb/?p=x', false],
    ['/cb?p=x', '/other?p=x', false],
    ['/cb?p=x&q=1', '/cb?p=x', false],
    ['/oauth/done', '/oauth/done?code=k', true],
    ['/oauth/done', '/oauth/x?code=k', false],
  ])('%s takes what came to %s: %s', (own, came, expected) => {
    const one = provider(own && at + own)
    // A proxy may have changed the origin.
    expect(cameBackTo('x', one, new URL(`http://inside:8080${came}`))).toBe(expected)
  })

  it.each<[a: string | undefined, b: string | undefined, refused: boolean]>([
    [undefined, undefined, false],
    ['/cb?p=x', '/cb?p=y', false],
    ['/cb/1', '/cb/2', false],
    ['/cb?p=x', '/cb?p=x', true],
    ['/cb?p=x', '/cb?p=x&q=1', true],
    ['/cb?p=x', '/cb?q=1', true],
    ['/cb', '/cb?p=x', true],
    ['/cb/b?p=x', undefined, true],
    [undefined, '/other/a', true],
    ['/cb/a', undefined, false],
  ])('%s beside %s is refused: %s', (a, b, refused) => {
    const both = new Map([
      ['a', provider(a && at + a)],
      ['b', provider(b && at + b)],
    ])
    const check = () => checkRedirectUris(both)
    if (refused) expect(check).toThrow(/redirectUri of provider "[ab]" .* provider "[ab]"/)
    else expect(check).not.toThrow()
  })
})
