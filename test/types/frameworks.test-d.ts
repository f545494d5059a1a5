/** Nothing is annotated in the tools for MCP and the AI SDK: what the model passes has the type that the framework derives of the schema. */
import { tool as langchainTool } from '@langchain/core/tools'
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { tool as aiTool } from 'ai'
import { type AccessToken, requireApiKey, requireToken, type Secret } from 'deputize'
import { describe, expectTypeOf, it } from 'vitest'
import { z } from 'zod'

const request = { provider: 'calendar', scopes: ['read'] }
const shape = { day: z.string(), limit: z.number().optional() }
type Input = { day: string; limit?: number | undefined }
const text = (value: string) => ({ content: [{ type: 'text' as const, text: value }] })

declare const server: McpServer

describe('McpServer.registerTool', () => {
  it('gives the arguments of the schema after the token', () => {
    server.registerTool(
      'list',
      { inputSchema: shape },
      requireToken(request, async (token, input, extra) => {
        expectTypeOf(token).toEqualTypeOf<AccessToken>()
        expectTypeOf(input.day).toEqualTypeOf<string>()
        expectTypeOf(input.limit).toEqualTypeOf<number | undefined>()
        expectTypeOf(extra.signal).toEqualTypeOf<AbortSignal>()
        return text(input.day)
      }),
    )
  })

  it('does so in the curried form, for a tool without arguments, and for a key', () => {
    server.registerTool(
      'list',
      { inputSchema: shape },
      requireToken(request)(async (token, { day }) => {
        expectTypeOf(token).toEqualTypeOf<AccessToken>()
        expectTypeOf(day).toEqualTypeOf<string>()
        return text(day)
      }),
    )
    server.registerTool(
      'now',
      {},
      requireToken(request, (token) => text(token.provider)),
    )
    server.registerTool(
      'find',
      { inputSchema: shape },
      requireApiKey({ provider: 'search' }, (key, { limit }) => {
        expectTypeOf(key).toEqualTypeOf<Secret>()
        expectTypeOf(limit).toEqualTypeOf<number | undefined>()
        return text('x')
      }),
    )
  })

  it('refuses a tool whose arguments are others, and one that returns no result', () => {
    server.registerTool(
      'list',
      { inputSchema: shape },
      // @ts-expect-error day is a string
      requireToken(request, async (_, { day }: { day: number }) => text(`${day}`)),
    )
    server.registerTool(
      'list',
      { inputSchema: shape },
      // @ts-expect-error no tool result
      requireToken(request, async () => 1),
    )
  })
})

describe('tool() of the AI SDK', () => {
  it('gives the arguments of the schema after the token, and keeps the output', () => {
    const list = aiTool({
      inputSchema: z.object(shape),
      execute: requireToken(request, async (token, input, options) => {
        expectTypeOf(token).toEqualTypeOf<AccessToken>()
        expectTypeOf(input).toEqualTypeOf<Input>()
        expectTypeOf(options.toolCallId).toEqualTypeOf<string>()
        return [input.day]
      }),
    })
    type Output = Awaited<ReturnType<NonNullable<typeof list.execute>>>
    expectTypeOf<string[]>().toExtend<Output>()
    expectTypeOf<number>().not.toExtend<Output>()
  })

  it('does so in the curried form, and for a key', () => {
    aiTool({
      inputSchema: z.object(shape),
      execute: requireToken(request)(async (token, { day }) => {
        expectTypeOf(token).toEqualTypeOf<AccessToken>()
        expectTypeOf(day).toEqualTypeOf<string>()
        return day
      }),
    })
    aiTool({
      inputSchema: z.object(shape),
      execute: requireApiKey({ provider: 'search' }, async (key, { day }) => {
        expectTypeOf(key).toEqualTypeOf<Secret>()
        return day.length
      }),
    })
  })

  it('refuses a tool whose arguments are others', () => {
    const inputSchema = z.object(shape)
    const execute = requireToken(request, async (_, { day }: { day: number }) => day)
    // @ts-expect-error day is a string
    aiTool({ inputSchema, execute })
  })
})

describe('tool() of LangChain', () => {
  const schema = z.object(shape)

  // It takes the function before the schema, and TypeScript reads arguments that are calls from left to right.
  it('needs the arguments spelled, and keeps them', () => {
    const list = langchainTool(
      requireToken(request, async (token, input: z.infer<typeof schema>) => {
        expectTypeOf(token).toEqualTypeOf<AccessToken>()
        expectTypeOf(input).toEqualTypeOf<Input>()
        return input.day
      }),
      { name: 'list', schema },
    )
    expectTypeOf(list.invoke).toBeCallableWith({ day: 'mon' })
    // Not spelled: unknown, so that nothing is taken for what it may not be.
    langchainTool(
      requireToken(request, async (_, input) => {
        expectTypeOf(input).toEqualTypeOf<unknown>()
        return 'x'
      }),
      { name: 'list', schema },
    )
  })

  it('derives them when the function calls a tool that was wrapped before', () => {
    const events = requireToken(request, async (token, day: string) => token.provider + day)
    langchainTool(
      async (input) => {
        expectTypeOf(input).toEqualTypeOf<Input>()
        return events(input.day)
      },
      { name: 'list', schema },
    )
  })

  it('injects a key', () => {
    langchainTool(
      requireApiKey({ provider: 'search' }, async (key, { day }: { day: string }) => {
        expectTypeOf(key).toEqualTypeOf<Secret>()
        return day
      }),
      { name: 'find', schema },
    )
  })
})
