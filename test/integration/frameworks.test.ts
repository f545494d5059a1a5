/** The wrapped tool inside the frameworks that agents are built with, each as published. */
import { tool as langchainTool } from '@langchain/core/tools'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { tool as aiTool, generateText, stepCountIs } from 'ai'
import { MockLanguageModelV3 } from 'ai/test'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { AuthorizationRequiredError } from '../../src/errors/consent.js'
import {
  accessToken,
  currentActing,
  findAuthorizationRequired,
  requireToken,
} from '../../src/index.js'
import { actingFor, FakeCredentials } from '../support/credentials.js'

const ada = actingFor('ada')
const request = { provider: 'calendar', scopes: ['read'] }
const dayInput = { day: z.string(), limit: z.number().optional() }
const consent = new AuthorizationRequiredError({
  provider: 'calendar',
  scopes: ['read'],
  authorizationUrl: 'https://idp.example/authorize?x=1',
  sessionUri: 'urn:session',
  expiresAtMs: 1,
})
const refusing = new FakeCredentials()
refusing.refuse = consent
const giving = new FakeCredentials()
const found = { provider: 'calendar', authorizationUrl: consent.authorizationUrl }

/** What each tool reports of its call: whose token, and what the model passed. */
const report = (token: string, day: string) =>
  `${day} ${token === accessToken('calendar').value ? currentActing().user?.subject : 'nobody'}`

describe('MCP server', () => {
  async function connect() {
    const server = new McpServer({ name: 'calendar', version: '1.0.0' })
    server.registerTool(
      'list_events',
      { inputSchema: dayInput },
      requireToken(
        request,
        async (token, { day }: { day: string; limit?: number | undefined }) => ({
          content: [{ type: 'text' as const, text: report(token.value, day) }],
        }),
      ),
    )
    const client = new Client({ name: 'test', version: '1.0.0' })
    const [here, there] = InMemoryTransport.createLinkedPair()
    await Promise.all([server.connect(here), client.connect(there)])
    return { client, server }
  }

  it('shows the model a tool without a token, and calls it with one', async () => {
    const { client, server } = await giving.runAs(ada, connect)
    const { tools } = await client.listTools()
    expect(Object.keys(tools[0]?.inputSchema.properties ?? {})).toEqual(['day', 'limit'])
    const result = await giving.runAs(ada, () =>
      client.callTool({ name: 'list_events', arguments: { day: 'mon', acting: 'bob' } }),
    )
    expect(result.content).toEqual([{ type: 'text', text: 'mon ada' }])
    expect(JSON.stringify([tools, result])).not.toContain('ada.calendar')
    await server.close()
  })

  it('answers a missing consent as a tool error: the SDK keeps the message of an error alone', async () => {
    const { client, server } = await connect()
    const result = await refusing.runAs(ada, () =>
      client.callTool({ name: 'list_events', arguments: { day: 'mon' } }),
    )
    expect(result.isError).toBe(true)
    expect(findAuthorizationRequired(result)).toBeUndefined()
    expect(JSON.stringify(result)).toContain('The user must connect')
    await server.close()
  })

  it('takes who acts from the call, without a scope', async () => {
    const server = new McpServer({ name: 'calendar', version: '1.0.0' })
    server.registerTool(
      'list_events',
      { inputSchema: dayInput },
      requireToken(
        { ...request, acting: () => ada, credentials: () => giving },
        (token, { day }: { day: string }) => ({
          content: [{ type: 'text' as const, text: report(token.value, day) }],
        }),
      ),
    )
    const client = new Client({ name: 'test', version: '1.0.0' })
    const [here, there] = InMemoryTransport.createLinkedPair()
    await Promise.all([server.connect(here), client.connect(there)])
    const result = await client.callTool({ name: 'list_events', arguments: { day: 'tue' } })
    expect(result.content).toEqual([{ type: 'text', text: 'tue ada' }])
    await server.close()
  })
})

describe('AI SDK', () => {
  const listEvents = aiTool({
    inputSchema: z.object(dayInput),
    execute: requireToken(request, async (token, { day }: { day: string }) =>
      report(token.value, day),
    ),
  })
  const options = { toolCallId: '1', messages: [] }

  it('calls the tool with a token', async () => {
    const result = giving.runAs(ada, () => listEvents.execute?.({ day: 'mon' }, options))
    expect(await result).toBe('mon ada')
  })

  it('lets a missing consent through', async () => {
    const error = await Promise.resolve(
      refusing.runAs(ada, () => listEvents.execute?.({ day: 'mon' }, options)),
    ).catch((e: unknown) => e)
    expect(findAuthorizationRequired(error)).toMatchObject(found)
  })

  it('keeps the scope through generateText(), and shows the model no token', async () => {
    for (const [credentials, expected] of [
      [giving, 'mon ada'],
      [refusing, consent],
    ] as const) {
      const model = new MockLanguageModelV3({
        doGenerate: async () => ({
          content: [
            { type: 'tool-call', toolCallId: 'c1', toolName: 'listEvents', input: '{"day":"mon"}' },
          ],
          finishReason: { unified: 'tool-calls', raw: undefined },
          usage: {
            inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
            outputTokens: { total: 1, text: 1, reasoning: 0 },
          },
          warnings: [],
        }),
      })
      const result = await credentials.runAs(ada, () =>
        generateText({
          model,
          prompt: 'x',
          tools: { listEvents },
          stopWhen: stepCountIs(2),
        }),
      )
      const parts = result.steps[0]!.content
      const outcome = parts.find((one) => one.type === 'tool-result' || one.type === 'tool-error')
      if (outcome?.type === 'tool-error')
        expect(findAuthorizationRequired(outcome.error)).toBe(expected)
      else expect(outcome?.output).toBe(expected)
      expect(JSON.stringify(model.doGenerateCalls)).not.toContain('ada.calendar')
    }
  })
})

describe('LangChain', () => {
  const listEvents = langchainTool(
    requireToken(request, async (token, { day }: { day: string }) => report(token.value, day)),
    { name: 'list_events', description: 'Lists events', schema: z.object(dayInput) },
  )

  it('calls the tool with a token, in the scope of the caller', async () => {
    expect(await giving.runAs(ada, () => listEvents.invoke({ day: 'mon' }))).toBe('mon ada')
    const names = await Promise.all(
      ['u1', 'u2', 'u3'].map((name) =>
        giving.runAs(actingFor(name), () => listEvents.invoke({ day: 'tue' })),
      ),
    )
    expect(names).toEqual(['tue u1', 'tue u2', 'tue u3'])
  })

  it('lets a missing consent through', async () => {
    const error = await refusing
      .runAs(ada, () => listEvents.invoke({ day: 'mon' }))
      .catch((e: unknown) => e)
    expect(findAuthorizationRequired(error)).toMatchObject(found)
  })
})
