export {
  type AuthorizationServerOptions,
  type RunningAuthorizationServer,
  startAuthorizationServer,
  type UserTokenOptions,
} from './authorization-server.js'
export { describeVaultStore, type StoreContractOptions, type TestRunner } from './store-contract.js'
