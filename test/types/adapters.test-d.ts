/** The adapters against the types of the frameworks: nothing is annotated where they are used. */

import * as errors from '@modelcontextprotocol/sdk/server/auth/errors.js'
import type { OAuthTokenVerifier } from '@modelcontextprotocol/sdk/server/auth/provider.js'
import type { AuthInfo as SdkAuthInfo } from '@modelcontextprotocol/sdk/server/auth/types.js'
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { UrlElicitationRequiredError } from '@modelcontextprotocol/sdk/types.js'
import { type InboundVerifier, type Principal, requireToken } from 'deputize'
import * as forExpress from 'deputize/express'
import * as forFastify from 'deputize/fastify'
import * as forHono from 'deputize/hono'
import {
  type AuthInfo,
  authenticate,
  authInfoOf,
  callerOf,
  consentElicitation,
  mcpTokenVerifier,
} from 'deputize/mcp'
import express from 'express'
import { type FastifyRequest, fastify } from 'fastify'
import { type Context, Hono } from 'hono'
import { describe, expectTypeOf, it } from 'vitest'
import { z } from 'zod'

declare const verifier: InboundVerifier
declare const principal: Principal

describe('express', () => {
  it('takes the middleware and its hook', () => {
    const app = express()
    app.use(forExpress.metadataRoute(verifier))
    app.use(express.json({ verify: forExpress.keepRawBody }))
    app.use(
      '/a',
      express.raw({ verify: forExpress.keepRawBody }),
      forExpress.authenticate(verifier),
    )
    app.get('/:id', forExpress.authenticate(verifier), (request, response) => {
      expectTypeOf(forExpress.callerOf(request)).toEqualTypeOf<Principal>()
      expectTypeOf(request.params.id).toEqualTypeOf<string>()
      response.end()
    })
  })

  it('gives a guard the request that it names', () => {
    forExpress.authenticate(verifier, {
      guard: (_, request: express.Request) => void request.params,
    })
    // @ts-expect-error a guard for another framework
    express().use(forExpress.authenticate(verifier, { guard: (_, c: Context) => void c.req }))
  })
})

describe('fastify', () => {
  it('takes the hooks, on plain servers and on HTTP/2', () => {
    for (const app of [fastify()]) {
      app.addHook('onRequest', forFastify.authenticate(verifier))
      app.addHook('preParsing', forFastify.keepRawBody)
      app.addHook('preHandler', forFastify.authenticate(verifier))
      app.get('/', { onRequest: forFastify.authenticate(verifier) }, async (request) => {
        expectTypeOf(forFastify.callerOf(request)).toEqualTypeOf<Principal>()
      })
    }
    const http2 = fastify({ http2: true })
    http2.addHook('preParsing', forFastify.keepRawBody)
    http2.addHook('onRequest', forFastify.authenticate(verifier))
  })

  it('gives a guard the request that it names', () => {
    const guard = (_: Principal, request: FastifyRequest) => void request.params
    fastify().addHook('preHandler', forFastify.authenticate(verifier, { guard }))
  })
})

describe('hono', () => {
  it('takes the middleware, whatever the environment', () => {
    const app = new Hono<{ Bindings: { KEY: string }; Variables: { a: number } }>()
    app.use(forHono.authenticate(verifier))
    app.get('/:id', forHono.authenticate(verifier), (c) => {
      expectTypeOf(forHono.callerOf(c)).toEqualTypeOf<Principal>()
      expectTypeOf(c.env.KEY).toEqualTypeOf<string>()
      return c.text(c.req.param('id'))
    })
    app.use(forHono.authenticate(verifier, { guard: (_, c: Context) => void c.req.param() }))
  })
})

describe('mcp', () => {
  it('speaks in the types of the SDK', () => {
    expectTypeOf(authInfoOf(principal)).toExtend<SdkAuthInfo>()
    expectTypeOf<SdkAuthInfo>().toHaveProperty('token')
    expectTypeOf<keyof AuthInfo>().toEqualTypeOf<keyof SdkAuthInfo>()
    expectTypeOf(mcpTokenVerifier({ verifier, errors })).toExtend<OAuthTokenVerifier>()
    express().post('/mcp', authenticate(verifier), (_request, response) => {
      response.end()
    })
  })

  it('keeps the types of a tool that asks for consents', () => {
    const withConsent = consentElicitation(UrlElicitationRequiredError)
    const server = {} as McpServer
    server.registerTool(
      'list',
      { inputSchema: { day: z.string() } },
      withConsent(async ({ day }, extra) => {
        expectTypeOf(day).toEqualTypeOf<string>()
        expectTypeOf(callerOf(extra)).toEqualTypeOf<Principal>()
        return { content: [{ type: 'text' as const, text: day }] }
      }),
    )
    server.registerTool(
      'list',
      { inputSchema: { day: z.string() } },
      withConsent(
        requireToken({ provider: 'calendar' }, async (_token, { day }, extra) => {
          expectTypeOf(day).toEqualTypeOf<string>()
          expectTypeOf(callerOf(extra)).toEqualTypeOf<Principal>()
          return { content: [{ type: 'text' as const, text: day }] }
        }),
      ),
    )
  })
})
