import type { ClusterServer } from './servers.ts';

/** A service as people see it. */
export interface ShownService {
  readonly pid: number;
  readonly url: string;
}

/** Variables that tell a service where the cluster is. */
export type ClusterVariables = Readonly<Record<string, string>>;

/**
 * What runs, and how to try by hand what happens when some of it does not.
 * @param leader name of the server that leads the log
 */
export function guideOf(
  servers: readonly ClusterServer[],
  services: readonly ShownService[],
  leader: string | undefined,
  variables: ClusterVariables,
): readonly string[] {
  const [first, second = first] = services;
  const leading = servers.find(({ name }) => name === leader) ?? servers[0];
  const json = "-H 'content-type: application/json' -d";
  const url = first?.url ?? '';
  const assignments = Object.entries(variables).map(([name, value]) => `${name}='${value}'`);
  return [
    '',
    'Three nats-servers and three services run; Ctrl-C ends all of them and keeps the data.',
    ...servers.map(
      ({ name, server }) =>
        `  ${name}    ${server.url}  pid ${server.pid}${name === leading?.name ? '  leads the log' : ''}`,
    ),
    ...services.map((service, index) => `  app${index + 1}  ${service.url}  pid ${service.pid}`),
    '',
    'Register somebody, then kill the server that leads the log and ask another service:',
    `  curl -s ${url}/v1/users ${json} '{"email":"ada@example.com","name":"Ada"}'`,
    `  kill -9 ${leading?.server.pid}`,
    `  curl -s ${second?.url}/health/ready`,
    `  curl -s ${second?.url}/v1/users ${json} '{"email":"grace@example.com","name":"Grace"}'`,
    'Or kill a service; the others go on:',
    `  kill -9 ${first?.pid}`,
    '',
    'What was killed is started again in another terminal:',
    ...servers.map(({ name, again }) => `  ${name}: ${again}`),
    `  app1: ${assignments.join(' ')} PORT=${new URL(url).port} jetledger serve`,
    '',
  ];
}
