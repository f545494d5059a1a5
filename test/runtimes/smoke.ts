/** What every runtime must be able to do. Bundled with the library and run there; prints one line of JSON, or answers it. */
import {
  authenticatedFetch,
  InboundVerifier,
  jwtBearer,
  localKeys,
  memoryStore,
  OutboundCredentialProvider,
  oauth2,
  requireToken,
  tokenVault,
  WorkloadIdentity,
} from 'deputize'

/** What the test hands over. */
export interface SmokeInput {
  readonly issuer: string
  readonly discoveryUrl: string
  readonly clientId: string
  readonly clientSecret: string
  readonly userToken: string
  readonly api: string
}

async function smoke(input: SmokeInput): Promise<Record<string, unknown>> {
  const verifier = new InboundVerifier({
    authenticators: [
      jwtBearer({
        discoveryUrl: input.discoveryUrl,
        allowedAudience: ['agent'],
        allowInsecureLoopback: true,
      }),
    ],
  })
  const principal = await verifier.verifyToken(input.userToken)
  const refused = await verifier
    .verifyToken(`${input.userToken.slice(0, -8)}AAAAAAAA`)
    .catch((error: { code: string }) => error.code)

  const agent = new WorkloadIdentity({ name: 'smoke-agent', issuer: 'https://agents.example.com' })
  const minted = await agent.actFor(principal).workloadAccessToken({ audience: 'tasks' })
  const access = await agent.verifyWorkloadAccessToken(minted.value, { audience: 'tasks' })

  const credentials = new OutboundCredentialProvider({
    providers: {
      api: oauth2({
        issuer: input.issuer,
        clientId: input.clientId,
        clientSecret: input.clientSecret,
        origins: [new URL(input.api).origin],
        allowInsecureLoopback: true,
      }),
    },
    vault: tokenVault({
      store: memoryStore(),
      keys: localKeys(crypto.getRandomValues(new Uint8Array(32))),
    }),
  })
  const tool = requireToken({ provider: 'api' }, async (token, city: string) => {
    await new Promise((resolve) => setTimeout(resolve, 1))
    return `${city} ${token.tokenType}`
  })
  const acting = agent.actAsSelf()
  const answers = await credentials.runAs(acting, () =>
    Promise.all(['Faro', 'Évora'].map((city) => tool(city))),
  )
  const call = authenticatedFetch({ provider: 'api' })
  const response = await credentials.runAs(acting, () => call(input.api))
  return {
    subject: principal.user?.subject,
    refused,
    workload: access.workload,
    answers,
    api: await response.text(),
    printed: `${minted}`,
  }
}

const worker = {
  async fetch(_request: Request, env: { readonly INPUT: string }): Promise<Response> {
    return Response.json(await smoke(JSON.parse(env.INPUT) as SmokeInput))
  },
}
/** As a Worker. Bun would start a server for it. */
export default 'Bun' in globalThis ? undefined : worker

/** As a program. */
const given = (globalThis as { process?: { argv?: string[] } }).process?.argv?.[2]
if (given?.startsWith('{')) {
  console.log(JSON.stringify(await smoke(JSON.parse(given) as SmokeInput)))
}
