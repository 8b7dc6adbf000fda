import { describe, expect, it } from 'vitest';
import { configDir, loadConfig } from '../../../src/platform/config/load.ts';
import { hasRole, ROLES, rolesOf } from '../../../src/platform/config/schema.ts';

const load = (env: Record<string, string>) => loadConfig({ env, dir: configDir({}) });

describe('roles', () => {
  it('are all of them unless told otherwise', () => {
    expect(rolesOf(load({}).service.roles)).toEqual(ROLES);
  });

  it('are read in any order and with spaces', () => {
    const config = load({ JETLEDGER_SERVICE__ROLES: 'processes, api' });
    expect(rolesOf(config.service.roles)).toEqual(['api', 'processes']);
    expect(ROLES.map((role) => hasRole(config, role))).toEqual([true, false, true]);
  });

  it.each(['', 'web', 'api;processes', 'api,', 'apis'])('refuse %j', (roles) => {
    expect(() => load({ JETLEDGER_SERVICE__ROLES: roles })).toThrow(
      /service\.roles: .*of api, projections, processes/,
    );
  });

  it.each(['PROJECTIONS', 'PROCESSES'])(
    'take the place of %s__ENABLED, which is refused by name',
    (section) => {
      const load_ = () => load({ [`JETLEDGER_${section}__ENABLED`]: 'false' });
      expect(load_).toThrow(`replaced by service.roles: leave ${section.toLowerCase()} out of it`);
    },
  );

  it('that need no secret of another role start without it in production', () => {
    const env = {
      JETLEDGER_ENV: 'production',
      NATS_URL: 'tls://nats:4222',
      JETLEDGER_NATS__NKEY_SEED_FILE: '/run/secrets/user',
      JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32),
    };
    expect(() => load({ ...env, JETLEDGER_SERVICE__ROLES: 'projections' })).not.toThrow();
    expect(() => load({ ...env, JETLEDGER_SERVICE__ROLES: 'api' })).toThrow(/auth\.issuer/);
    expect(() => load({ ...env, JETLEDGER_SERVICE__ROLES: 'processes' })).toThrow(/payment\.url/);
  });

  it('a drain that leaves no time for the shutdown is refused', () => {
    const env = { JETLEDGER_SERVICE__DRAIN_MS: '5000', JETLEDGER_SERVICE__SHUTDOWN_TIMEOUT_MS: '10000' };
    expect(() => load(env)).toThrow(/service\.drainMs/);
  });
});
