import { ConfigurationError } from '../errors/outbound.js'

/** `@smithy/signature-v4`, an optional peer, at first use. @throws {@link ConfigurationError} It is not installed. */
export async function loadSigner(): Promise<typeof import('@smithy/signature-v4')> {
  try {
    return await import('@smithy/signature-v4')
  } catch {
    throw missing('@smithy/signature-v4', 'AWS requests are signed')
  }
}

/** `@aws-sdk/credential-providers`, an optional peer, at first use. @throws {@link ConfigurationError} */
export async function loadProviders(): Promise<typeof import('@aws-sdk/credential-providers')> {
  try {
    return await import('@aws-sdk/credential-providers')
  } catch {
    throw missing('@aws-sdk/credential-providers', 'AWS credentials are found and roles assumed')
  }
}

function missing(name: string, use: string): ConfigurationError {
  return new ConfigurationError(
    `The package ${name} cannot be loaded; with it ${use}. Install it: npm install ${name}`,
    { reason: 'optional_peer_missing' },
  )
}
