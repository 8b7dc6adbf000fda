import { agreeOnLogin, demandsTls, hasLogin } from '../nats-connection.ts';
import { type ConfigProblem, ruleBroken } from './errors.ts';
import { getAt, variableFor } from './keys.ts';
import { type Config, hasRole, isProduction } from './schema.ts';

/** A condition over several keys, told at the one to change. */
interface Rule {
  readonly key: string;
  readonly message: string;
  broken(config: Config): boolean;
}

/** Only a process that answers requests looks at tokens. */
const verifiesTokens = (config: Config): boolean => config.auth.enabled && hasRole(config, 'api');

/** Whether NATS has to be one that only its users reach; an address on this machine is not safe by itself. */
const isProtected = (config: Config): boolean =>
  isProduction(config) && config.nats.url !== '' && !config.nats.allowInsecure;
const MEANT = `if it is meant to be without, set ${variableFor('nats.allowInsecure')} to true`;

const RULES: readonly Rule[] = [
  {
    key: 'service.drainMs',
    message: 'must leave time for the rest of the shutdown: less than half of service.shutdownTimeoutMs',
    broken: ({ service }) => service.drainMs >= service.shutdownTimeoutMs / 2,
  },
  {
    key: 'nats.url',
    message: `production needs a NATS server of its own, not the embedded one: set NATS_URL or ${variableFor('nats.url')}`,
    broken: (config) => isProduction(config) && config.nats.url === '',
  },
  {
    key: 'users.emailKey',
    message: `production needs the key that e-mail addresses are hashed with: set ${variableFor('users.emailKey')} to 32 random bytes or more in hexadecimal, and keep it for ever`,
    broken: (config) => isProduction(config) && config.users.emailKey === '',
  },
  {
    key: 'privacy.masterKeyFile',
    message:
      'the master keys stand in one place: set privacy.masterKeys, privacy.masterKeyFile or privacy.masterKeyCommand',
    broken: ({ privacy: { masterKeys, masterKeyFile, masterKeyCommand } }) =>
      [masterKeys, masterKeyFile, masterKeyCommand].filter((place) => place !== '').length > 1,
  },
  {
    key: 'console.oidc.clientId',
    message: `the console signs in as a client that the issuer knows: set ${variableFor('console.oidc.clientId')}`,
    broken: ({ console: { oidc } }) => oidc.issuer !== '' && oidc.clientId === '',
  },
  {
    key: 'console.oidc.issuer',
    message: 'production signs in over https only, since whoever reads what is on the way has the token',
    broken: (config) => isProduction(config) && config.console.oidc.issuer.startsWith('http:'),
  },
  {
    key: 'auth.enabled',
    message: `production needs to know who asks: set ${variableFor('auth.enabled')} to true, with auth.issuer, auth.audience and auth.jwksUrl or auth.keyFile`,
    broken: (config) => isProduction(config) && hasRole(config, 'api') && !config.auth.enabled,
  },
  {
    key: 'auth.jwksUrl',
    message: `tokens are checked with keys from exactly one place: set ${variableFor('auth.jwksUrl')} or ${variableFor('auth.keyFile')}`,
    broken: (config) =>
      verifiesTokens(config) && (config.auth.jwksUrl === '') === (config.auth.keyFile === ''),
  },
  {
    key: 'auth.jwksUrl',
    message: 'production fetches keys over https only, since whoever changes them on the way can make tokens',
    broken: (config) => isProduction(config) && config.auth.jwksUrl.startsWith('http:'),
  },
  {
    key: 'auth.issuer',
    message: `a token counts only from one issuer: set ${variableFor('auth.issuer')} to the claim iss of its tokens`,
    broken: (config) => verifiesTokens(config) && config.auth.issuer === '',
  },
  {
    key: 'auth.audience',
    message: `a token counts only for this service: set ${variableFor('auth.audience')} to the claim aud of its tokens`,
    broken: (config) => verifiesTokens(config) && config.auth.audience === '',
  },
  {
    key: 'log.durability',
    message: 'production allows only always and replicated',
    broken: (config) => isProduction(config) && config.log.durability === 'none',
  },
  {
    key: 'log.durability',
    message: 'replicated needs log.replicas of 3 or 5',
    broken: ({ log }) => log.durability === 'replicated' && log.replicas < 3,
  },
  {
    key: 'log.replicas',
    message: 'the embedded server is one server: 1, or set nats.url to a cluster',
    broken: ({ nats, log }) => nats.url === '' && log.replicas > 1,
  },
  {
    key: 'nats.password',
    message: 'user and password go together: set both or none',
    broken: ({ nats }) => (nats.user === '') !== (nats.password === ''),
  },
  {
    key: 'nats.token',
    message: 'one way to log in only: token, user and password, credsFile, or nkeySeedFile',
    broken: ({ nats }) =>
      [nats.token, nats.user, nats.credsFile, nats.nkeySeedFile].filter((value) => value !== '').length > 1,
  },
  {
    key: 'nats.url',
    message: 'each address must name the same user: a process has one, whichever server it is connected to',
    broken: ({ nats }) => !agreeOnLogin(nats.url),
  },
  {
    key: 'nats.url',
    message: `production reaches NATS over TLS: name tls:// addresses, or the authority in ${variableFor('nats.tls.caFile')}; ${MEANT}`,
    broken: (config) => isProtected(config) && !demandsTls(config.nats),
  },
  {
    key: 'nats.nkeySeedFile',
    message: `production logs in to NATS, where whoever need not could delete the log: set ${variableFor('nats.nkeySeedFile')}, or another login of nats.*; ${MEANT}`,
    broken: (config) => isProtected(config) && !hasLogin(config.nats),
  },
  {
    key: 'nats.tls.keyFile',
    message: 'certFile and keyFile go together: set both or none',
    broken: ({ nats }) => (nats.tls.certFile === '') !== (nats.tls.keyFile === ''),
  },
  {
    key: 'payment.url',
    message: `payment.adapter http needs url and apiKey: set ${variableFor('payment.url')} and ${variableFor('payment.apiKey')}`,
    broken: (config) => {
      const { adapter, url, apiKey } = config.payment;
      return hasRole(config, 'processes') && adapter === 'http' && (url === '' || apiKey === '');
    },
  },
  {
    key: 'payment.adapter',
    message: `production needs a real provider: set ${variableFor('payment.adapter')} to http, with payment.url and payment.apiKey`,
    broken: (config) => isProduction(config) && config.payment.adapter === 'simulated',
  },
  {
    key: 'processes.retryLongestMs',
    message: 'must not be shorter than processes.retryFirstMs',
    broken: ({ processes: p }) => p.retryLongestMs < p.retryFirstMs,
  },
  {
    key: 'notifications.url',
    message: 'notifications.adapter webhook needs url and secret',
    broken: (config) => {
      const { adapter, url, secret } = config.notifications;
      return hasRole(config, 'processes') && adapter === 'webhook' && (url === '' || secret === '');
    },
  },
  {
    key: 'tracing.enabled',
    message: 'needs tracing.endpoint, the address of a collector',
    broken: ({ tracing }) => tracing.enabled && tracing.endpoint === '',
  },
];

/** What several keys together do wrong, though each alone is right. */
export function checkRules(config: Config, originOf: (name: string) => string): ConfigProblem[] {
  return RULES.filter((rule) => rule.broken(config)).map(({ key, message }) =>
    // Another environment that production's rules hold for is called by its name.
    ruleBroken(key, getAt(config, key), originOf(key), message.replace(/^production\b/, config.environment)),
  );
}
