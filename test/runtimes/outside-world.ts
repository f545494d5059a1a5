/** Everything outside a Worker, on one port: issuers, an authorization server and STS. Each path can be made to hang. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { SigningKey } from '../support/issuer.js'

const stsAnswer = {
  GetCallerIdentityResponse: {
    GetCallerIdentityResult: {
      Account: '111122223333',
      Arn: 'arn:aws:sts::111122223333:assumed-role/caller/session',
      UserId: 'AROAEXAMPLEID0001:session',
    },
    ResponseMetadata: { RequestId: '0' },
  },
}

interface Place {
  hangs: boolean
  hung: (() => void)[]
  reached: Promise<void>
  tellReached: () => void
  /** The refresh token that is good now, by number. */
  refresh: number
  /** Answers that nobody was there to hear. */
  unheard: number
  /** Refresh tokens that came a second time. */
  reused: number
}

export interface OutsideWorld {
  readonly origin: string
  /** From now on nothing under `/use/set` is answered. */
  hang(place: string): void
  /** Settles when a request hangs there. */
  reached(place: string): Promise<void>
  /** Later requests are answered; those that hang go on hanging. */
  goOn(place: string): void
  /** Answers what hangs. */
  release(place: string): void
  reused(place: string): number
  unheard(place: string): number
  close(): Promise<void>
}

export async function startOutsideWorld(key: SigningKey): Promise<OutsideWorld> {
  const places = new Map<string, Place>()
  const at = (name: string): Place => {
    const known = places.get(name)
    if (known) return known
    let tellReached!: () => void
    const reached = new Promise<void>((resolve) => {
      tellReached = resolve
    })
    const place = {
      hangs: false,
      hung: [],
      reached,
      tellReached,
      refresh: 0,
      unheard: 0,
      reused: 0,
    }
    places.set(name, place)
    return place
  }
  let origin = ''

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const form = new URLSearchParams(Buffer.concat(chunks).toString())
    const parts = (request.url ?? '').replace(/\/\.well-known\/[^/]+/, '').split('/')
    if (parts[1] === 'reached') {
      await at(`${parts[2]}/${parts[3]}`).reached
      return void response.end()
    }
    const name = `${parts[1]}/${parts[2]}`
    const place = at(name)
    const answer = () => {
      if (response.socket?.destroyed) place.unheard++
      else send(response, `${origin}/${name}`, parts[3], form, place)
    }
    if (!place.hangs) return answer()
    place.hung.push(answer)
    place.tellReached()
  }

  function send(
    response: ServerResponse,
    issuer: string,
    what: string | undefined,
    form: URLSearchParams,
    place: Place,
  ): void {
    const json = (value: unknown, status = 200) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
    if (what === undefined) {
      const endpoint = (path: string) => `${issuer}/${path}`
      return void json({
        issuer,
        jwks_uri: endpoint('jwks'),
        authorization_endpoint: endpoint('authorize'),
        token_endpoint: endpoint('token'),
        introspection_endpoint: endpoint('introspect'),
        response_types_supported: ['code'],
        code_challenge_methods_supported: ['S256'],
      })
    }
    if (what === 'jwks') return void json({ keys: [key.jwk] })
    if (what === 'secret') return void response.end('s'.repeat(40))
    if (what === 'sts') return void json(stsAnswer)
    if (what === 'introspect') {
      const active = form.get('token') === 'good'
      const facts = {
        token_type: 'Bearer',
        sub: 'ana',
        aud: 'agent',
        client_id: 'caller',
        exp: 4_000_000_000,
        iss: issuer,
      }
      return void json(active ? { active, ...facts } : { active })
    }
    if (what !== 'token') return void json({}, 404)
    const sent = form.get('refresh_token')
    if (sent !== null && sent !== `refresh-${place.refresh}`) {
      place.reused++
      return void json({ error: 'invalid_grant' }, 400)
    }
    const granted = {
      access_token: `access-${++place.refresh}`,
      token_type: 'Bearer',
      expires_in: 3600,
    }
    const renews = form.get('grant_type') !== 'client_credentials'
    json(renews ? { ...granted, refresh_token: `refresh-${place.refresh}` } : granted)
  }

  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    origin,
    hang: (name) => {
      at(name).hangs = true
    },
    reached: (name) => at(name).reached,
    goOn: (name) => {
      at(name).hangs = false
    },
    release: (name) => {
      for (const answer of at(name).hung.splice(0)) answer()
    },
    reused: (name) => at(name).reused,
    unheard: (name) => at(name).unheard,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
