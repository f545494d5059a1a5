import type { Audit } from '../audit.js'
import type { AwsCredentials } from '../aws/aws-credentials.js'
import type { Clock } from '../clock.js'
import type { AwsCredentialsRequest } from '../context/credential-source.js'
import { resolveSecret, type Secret } from '../secret.js'
import { type Acting, auditActing } from '../workload/acting.js'
import type { ProviderRegistry } from './registry.js'

interface Parts {
  readonly registry: ProviderRegistry
  readonly audit: Audit
  readonly clock: Clock
}

/** The key of an `apiKey()` provider, which the whole application shares. */
export async function apiKeyOf(parts: Parts, acting: Acting, name: string): Promise<Secret> {
  const provider = parts.registry.apiKey(name)
  const key = await resolveSecret(provider.key, `key of provider "${name}"`)
  if (!/^[\x21-\x7e]+$/.test(key.reveal())) {
    throw new TypeError(
      `key of provider "${name}" must be visible ASCII without spaces or line breaks.`,
    )
  }
  parts.audit.emit({ type: 'api_key_served', ...auditActing(acting), provider: name })
  return key
}

/** Credentials of an `awsIam()` provider, for the workload of `acting`. */
export async function awsCredentialsOf(
  parts: Parts,
  acting: Acting,
  request: AwsCredentialsRequest,
): Promise<AwsCredentials> {
  const { provider: name, policy } = request
  const provider = parts.registry.awsIam(name)
  const { roleArn } = provider
  const workload = acting.workload.name
  const credentials = await provider.credentials({ workload, policy, clock: parts.clock })
  const facts = { ...auditActing(acting), provider: name, ...(roleArn ? { roleArn } : {}) }
  parts.audit.emit({ type: 'aws_credentials_served', ...facts })
  return credentials
}
