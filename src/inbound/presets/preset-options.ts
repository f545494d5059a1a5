import type { KnownOptions } from '../../option-names.js'
import type { JwtBearerOptions } from '../jwt-bearer-options.js'
import { wrong } from '../option-checks.js'

/** What every preset takes beside its own: all of `jwtBearer`'s options but what the preset itself knows. */
export type PresetOptions = Omit<
  JwtBearerOptions,
  'issuer' | 'discoveryUrl' | 'jwksUri' | 'jwks' | 'profile'
>

export const knownToPresets: KnownOptions<PresetOptions> = {
  allowedAudience: true,
  allowedClients: true,
  allowedScopes: true,
  customClaims: true,
  dpop: true,
  algorithms: true,
  clockToleranceMs: true,
  maxTokenAgeMs: true,
  maxTokenBytes: true,
  cache: true,
  allowInsecureLoopback: true,
  fetch: true,
}

/** Claims as a profile sees them. */
export type Claims = Readonly<Record<string, unknown>>

/** `value` when it has the form `pattern`. */
export function matching(option: string, value: unknown, pattern: RegExp, form: string): string {
  if (typeof value === 'string' && pattern.test(value)) return value
  throw wrong(option, value, `must be ${form}`)
}
