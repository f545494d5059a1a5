import { describe, expect, it } from 'vitest'
import { readScopes, type ScopeDialect, writeScopes } from './scopes.js'

const comma: ScopeDialect = { scopeSeparator: ',' }
const aliases: ScopeDialect = { scopeAliases: { 'https://api.example/read': 'read', w: 'write' } }
const many = (count: number) => Array.from({ length: count }, (_, n) => `s${n}`).join(' ')

describe('the scopes of an answer', () => {
  it.each<[what: string, value: unknown, dialect: ScopeDialect, expected: string[] | undefined]>([
    ['none', undefined, {}, ['read', 'write']],
    ['an empty one', '', {}, ['read', 'write']],
    ['blanks', '  ', {}, ['read', 'write']],
    ['fewer', 'read', {}, ['read']],
    ['more, and one twice', 'read admin read', {}, ['read', 'admin']],
    ['joined by commas, though asked with spaces', 'read,write', {}, ['read', 'write']],
    ['joined by commas, only some as asked', 'read,admin', {}, ['read', 'admin']],
    ['a scope with a comma of its own', 'a,b read', {}, ['a,b', 'read']],
    ['commas, as configured', 'a,b', comma, ['a', 'b']],
    ['commas and spaces, as configured', 'a, b', comma, ['a', 'b']],
    ['in another spelling', 'https://api.example/read w x', aliases, ['read', 'write', 'x']],
    ['named like a member of every object', 'constructor', aliases, ['constructor']],
    ['a line break', 'read a\nADMIN', {}, undefined],
    ['a tab', 'read\twrite', {}, undefined],
    ['a direction mark', 'read\u202e', {}, undefined],
    ['a quote', 'read "x"', {}, undefined],
    ['a list', ['read'], {}, undefined],
    ['a number', 7, {}, undefined],
    ['an object', {}, {}, undefined],
    ['a scope of 255 characters', 'x'.repeat(255), {}, ['x'.repeat(255)]],
    ['a scope of 256 characters', 'x'.repeat(256), {}, undefined],
    ['1,000 scopes', many(1_000), {}, many(1_000).split(' ')],
    ['1,001 scopes', many(1_001), {}, undefined],
    ['a text of 65,537 characters', ' '.repeat(65_537), {}, undefined],
  ])('%s', (_, value, dialect, expected) => {
    expect(readScopes(value, ['read', 'write'], dialect)).toEqual(expected)
  })

  it('are written as the server wants them', () => {
    expect(writeScopes(['a', 'b'], {})).toBe('a b')
    expect(writeScopes(['a', 'b'], comma)).toBe('a,b')
  })
})
