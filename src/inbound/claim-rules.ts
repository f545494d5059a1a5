import { printable } from '../errors/base.js'
import { InboundAuthError } from '../errors/inbound.js'
import { checkOptionNames } from '../option-names.js'
import type { JsonObject } from '../strict-json.js'

/** What a custom claim must be. Types count: `"1"` is not `1`, and a string is not a list of one. */
export type ClaimRule =
  /** The claim is exactly this value. Of numbers, the safe integers: others are not told from their neighbours. */
  | {
      readonly name: string
      readonly operator: 'EQUALS'
      readonly value: string | number | boolean
    }
  /** The claim is a list that holds this string. */
  | { readonly name: string; readonly operator: 'CONTAINS'; readonly value: string }
  /** The claim is a list that holds at least one of these strings. */
  | { readonly name: string; readonly operator: 'CONTAINS_ANY'; readonly value: readonly string[] }

/**
 * A frozen copy of the rules, so that changing the options later changes nothing.
 *
 * @throws `TypeError` naming the rule that cannot be one.
 */
export function checkClaimRules(rules: unknown, option: string): readonly ClaimRule[] {
  if (!Array.isArray(rules) || rules.length === 0) {
    throw new TypeError(`${option} must be a list of at least one rule, or left out.`)
  }
  return Object.freeze(rules.map((rule: unknown, place) => checkRule(rule, `${option}[${place}]`)))
}

function checkRule(rule: unknown, where: string): ClaimRule {
  checkOptionNames(
    rule as ClaimRule,
    where,
    { name: true, operator: true, value: true },
    'a rule, { name, operator, value }',
  )
  const { name, operator, value } = rule as Record<string, unknown>
  if (typeof name !== 'string' || name === '') {
    throw new TypeError(`${where}.name must be the name of a claim; got ${shown(name)}.`)
  }
  switch (operator) {
    case 'EQUALS':
      if (!['string', 'boolean'].includes(typeof value) && !Number.isSafeInteger(value)) {
        throw new TypeError(
          `${where}.value must be a string, a boolean, or a whole number that JavaScript keeps exactly; got ${shown(value)}.`,
        )
      }
      return Object.freeze({ name, operator, value: value as string | number | boolean })
    case 'CONTAINS':
      if (typeof value !== 'string') {
        throw new TypeError(`${where}.value must be a string; got ${shown(value)}.`)
      }
      return Object.freeze({ name, operator, value })
    case 'CONTAINS_ANY':
      if (!Array.isArray(value) || value.length === 0 || value.some((v) => typeof v !== 'string')) {
        throw new TypeError(`${where}.value must be a list of at least one string.`)
      }
      return Object.freeze({ name, operator, value: Object.freeze([...(value as string[])]) })
    default:
      throw new TypeError(
        `${where}.operator must be EQUALS, CONTAINS or CONTAINS_ANY; got ${shown(operator)}.`,
      )
  }
}

/** @throws {@link InboundAuthError} `ERR_CLAIM_RULE` naming the first rule that does not hold. */
export function applyClaimRules(rules: readonly ClaimRule[], claims: JsonObject): void {
  for (const rule of rules) {
    if (!holds(rule, claims[rule.name])) {
      throw new InboundAuthError('ERR_CLAIM_RULE', {
        reason: `the claim "${printable(rule.name)}" does not satisfy ${rule.operator}`,
      })
    }
  }
}

function holds(rule: ClaimRule, claim: unknown): boolean {
  switch (rule.operator) {
    case 'EQUALS':
      return claim === rule.value
    case 'CONTAINS':
      return Array.isArray(claim) && claim.includes(rule.value)
    case 'CONTAINS_ANY':
      return Array.isArray(claim) && rule.value.some((value) => claim.includes(value))
  }
}

function shown(value: unknown): string {
  return typeof value === 'string'
    ? `"${printable(value)}"`
    : String(value === null ? null : typeof value)
}
