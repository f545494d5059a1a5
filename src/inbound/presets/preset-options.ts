import type { JwtBearerOptions } from '../jwt-bearer-options.js'
import { wrong } from '../option-checks.js'

/** What every preset takes beside its own: all of `jwtBearer`'s options but what the preset itself knows. */
export type PresetOptions = Omit<
  JwtBearerOptions,
  'issuer' | 'discoveryUrl' | 'jwksUri' | 'jwks' | 'profile'
>

/** Claims as a profile sees them. */
export type Claims = Readonly<Record<string, unknown>>

/** `value` when it has the form `pattern`. */
export function matching(option: string, value: unknown, pattern: RegExp, form: string): string {
  if (typeof value === 'string' && pattern.test(value)) return value
  throw wrong(option, value, `must be ${form}`)
}
