import Type from 'typebox';
import { ACCESS } from '../auth/access.ts';
import type { ServiceDeps } from '../deps.ts';
import type { TypedApp } from '../routes/app-type.ts';
import { Count } from '../schemas/admin.ts';
import { NoQuery, Position, Time } from '../schemas/common.ts';
import { EXAMPLE_TIME } from '../schemas/examples.ts';
import { PlainHeaders } from '../schemas/requests.ts';
import { plain, problemsOfRead } from '../schemas/responses.ts';
import type { BackupsSituation } from './ports.ts';
import { isoTime, withoutAbsent } from './shown.ts';

const strict = { additionalProperties: false } as const;
const Text = Type.String();

const Backups = Type.Object(
  {
    taken: Type.Optional(
      Type.Object(
        {
          at: Time,
          bytes: Count,
          last: { ...Position, description: 'Last position of the log in it.' },
          streams: Count,
          version: Type.String({ description: 'Of JetLedger.' }),
        },
        { ...strict, description: 'The last one.' },
      ),
    ),
    proved: Type.Optional(
      Type.Object(
        {
          at: Time,
          takenAt: { ...Time, description: 'When the backup was taken that it is of.' },
          last: Position,
          ok: Type.Boolean(),
          problem: Type.Optional(Type.String({ description: 'What is wrong with it.' })),
        },
        { ...strict, description: 'The last proof, by `jetledger verify`.' },
      ),
    ),
    restored: Type.Optional(
      Type.Object(
        { at: Time, takenAt: Time, last: Position },
        { ...strict, description: 'This log is a copy.' },
      ),
    ),
  },
  {
    ...strict,
    $id: 'Backups',
    title: 'What was noted of backups',
    examples: [
      {
        taken: { at: EXAMPLE_TIME, bytes: 52_000_000, last: 42, streams: 9, version: '0.1.0' },
        proved: { at: EXAMPLE_TIME, takenAt: EXAMPLE_TIME, last: 42, ok: true },
      },
    ],
  },
);
export type BackupsBody = Type.Static<typeof Backups>;

const Configuration = Type.Object(
  {
    instances: Type.Array(
      Type.Object({ id: Text, name: Text, roles: Type.Array(Text), version: Text }, strict),
    ),
    items: Type.Array(
      Type.Object(
        {
          name: Text,
          values: Type.Array(
            Type.Object(
              {
                value: Type.Optional(
                  Type.String({
                    description: '`***` for a secret; absent for a default of another version.',
                  }),
                ),
                origin: Type.String({
                  description: '`default`, or the file or variable that it comes from.',
                }),
                instances: Type.Array(Text, { description: 'Ids of the processes that have it.' }),
              },
              strict,
            ),
          ),
        },
        strict,
      ),
    ),
  },
  {
    ...strict,
    $id: 'Configuration',
    title: 'What the processes run with',
    examples: [
      {
        instances: [{ id: 'i1', name: 'jetledger-0', roles: ['api'], version: '0.1.0' }],
        items: [
          {
            name: 'http.port',
            values: [{ value: '3000', origin: 'default', instances: ['i1'] }],
          },
        ],
      },
    ],
  },
);
export type ConfigurationBody = Type.Static<typeof Configuration>;

/** What was noted of backups, with its times in ISO 8601. */
export function backupsBody({ taken, proved, restored }: BackupsSituation): BackupsBody {
  const copyOf = <T extends { at: number; takenAt: number }>(note: T) => ({
    ...note,
    at: isoTime(note.at),
    takenAt: isoTime(note.takenAt),
  });
  return withoutAbsent({
    taken: taken && { ...taken, at: isoTime(taken.at) },
    proved: proved && withoutAbsent(copyOf(proved)),
    restored: restored && copyOf(restored),
  });
}

const common = { tags: ['admin'], headers: PlainHeaders, querystring: NoQuery };
const config = { access: ACCESS.admin };

/** Backups, and what the processes run with. */
export function upkeepRoutes(app: TypedApp, { admin }: ServiceDeps): void {
  const backups = {
    ...common,
    operationId: 'getBackups',
    summary: 'Show the last backup and its proof',
    description:
      'As `jetledger backup`, `verify` and `restore` have noted on this server; what else copies it is not known here.',
    response: { ...plain(200, 'Backups', 'The last of each.'), ...problemsOfRead() },
  };
  app.get('/v1/admin/backups', { schema: backups, config }, async (_request, reply) =>
    reply.send(backupsBody(await admin.backups())),
  );
  const configuration = {
    ...common,
    operationId: 'getConfiguration',
    summary: 'Show what the processes run with',
    description:
      'Every setting, where its value comes from, and which processes have another one. Secrets are never told, nor whether they differ.',
    response: { ...plain(200, 'Configuration', 'As the processes have told.'), ...problemsOfRead() },
  };
  app.get('/v1/admin/configuration', { schema: configuration, config }, async (_request, reply) => {
    const { instances, items } = await admin.configuration();
    return reply.send({
      instances: instances.map((one) => ({ ...one, roles: [...one.roles] })),
      items: items.map(({ name, values }) => ({
        name,
        values: values.map((one) => withoutAbsent({ ...one, instances: [...one.instances] })),
      })),
    });
  });
}

/** The schemas of the answers above. */
export const upkeepComponents = [Backups, Configuration];
