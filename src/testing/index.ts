export {
  type AuthorizationServerOptions,
  type RunningAuthorizationServer,
  startAuthorizationServer,
  type UserTokenOptions,
} from './authorization-server.js'
export {
  type FakeStsCaller,
  type FakeStsOptions,
  type FakeStsRequest,
  type RunningFakeSts,
  startFakeSts,
} from './fake-sts.js'
export type { ClientAnswer } from './form.js'
export { describeVaultStore, type StoreContractOptions, type TestRunner } from './store-contract.js'
