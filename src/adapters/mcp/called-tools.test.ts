import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { ConfigurationError } from '../../errors/outbound.js'
import { calledTools } from './called-tools.js'

const call = (name: unknown) => ({
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/call',
  params: { name },
})
const asked = (body: unknown, headers: object = { 'content-length': '90' }) =>
  calledTools({ headers, httpVersionMajor: 1, body } as unknown as IncomingMessage)

describe('calledTools', () => {
  it('names the tools that are called, in a batch too', () => {
    expect(asked(call('a'))).toEqual(['a'])
    expect(asked([call('a'), { method: 'ping' }, null, 7, call('b')])).toEqual(['a', 'b'])
    expect(asked({ method: 'tools/list' })).toEqual([])
    expect(asked(Object.assign(Object.create(null), call('a')))).toEqual(['a'])
  })

  it('names what a careless server would make a name of', () => {
    expect(asked(call(['a']))).toEqual(['a'])
    expect(asked(call(undefined))).toEqual(['undefined'])
    expect(asked({ method: 'tools/call', params: null })).toEqual(['undefined'])
  })

  it('is told of none where there is no body', () => {
    for (const body of [undefined, {}]) expect(asked(body, {})).toEqual([])
  })

  const text = JSON.stringify(call('a'))
  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['what Express 4 leaves', {}],
    ['a text', text],
    ['bytes', Buffer.from(text)],
    ['other bytes', new TextEncoder().encode(text).buffer],
    ['form parameters', new URLSearchParams({ text })],
    ['null', null],
    ['a number', 1],
    ['a promise', Promise.resolve(call('a'))],
  ])('is a mistake of the application where the body is %s', (_, body) => {
    expect(() => asked(body)).toThrow(ConfigurationError)
  })

  it.each<[string, unknown]>([
    ['a text', text],
    ['bytes', Buffer.from(text)],
  ])('reads no %s, whatever the headers say', (_, body) => {
    expect(() => asked(body, {})).toThrow(ConfigurationError)
  })
})
