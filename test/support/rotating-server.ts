/**
 * A token endpoint that rotates refresh tokens, one family a user, and lets the token before the current one pass: it then
 * makes a new one, and the one it made before is dead. So a row that holds anything but the newest is a lost grant.
 */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

interface Family {
  current: string
  previous: string | undefined
  count: number
}

export interface RotatingServer extends AsyncDisposable {
  readonly issuer: string
  /** What every request for a token was, and how it ended. */
  readonly seen: string[]
  /** Answers to refreshes: the status instead of a token, while it is set. */
  status: number | undefined
  current(subject: string): string | undefined
}

export async function startRotatingServer(): Promise<RotatingServer> {
  const families = new Map<string, Family>()
  const seen: string[] = []
  const state = { status: undefined as number | undefined }
  const answer = (form: URLSearchParams): [number, object] => {
    if (state.status !== undefined) return [state.status, { error: 'temporarily_unavailable' }]
    const grant = form.get('grant_type')
    if (grant === 'client_credentials') {
      return [200, { access_token: `at-${seen.length}`, token_type: 'Bearer', expires_in: 3600 }]
    }
    // A code is the name of the user; so is the first part of a refresh token.
    const sent = form.get('refresh_token') ?? ''
    const subject = grant === 'authorization_code' ? (form.get('code') ?? '') : sent.split('/')[0]!
    const family = families.get(subject) ?? { current: '', previous: undefined, count: 0 }
    families.set(subject, family)
    if (grant === 'refresh_token' && sent !== family.current && sent !== family.previous) {
      return [400, { error: 'invalid_grant' }]
    }
    family.previous = grant === 'refresh_token' ? sent : undefined
    family.current = `${subject}/${++family.count}`
    const tokens = { access_token: `at-${family.current}`, refresh_token: family.current }
    return [200, { ...tokens, token_type: 'Bearer', expires_in: 3600, scope: 'read' }]
  }
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      const form = new URLSearchParams(body)
      const [status, json] = answer(form)
      seen.push(`${form.get('grant_type')} ${form.get('refresh_token') ?? ''} ${status}`)
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(json))
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    issuer: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    get status() {
      return state.status
    },
    set status(status) {
      state.status = status
    },
    current: (subject) => families.get(subject)?.current,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}
