/** Another process listens on the HTTP port. */
export class HttpPortTaken extends Error {
  constructor(port: number) {
    super(
      `Port ${port} is taken. Stop what listens there, or choose another one: JETLEDGER_HTTP__PORT=${port + 1}`,
    );
    this.name = 'HttpPortTaken';
  }
}

/** `publicEvents.contexts` names what has no contract, or something twice. */
export class WrongContexts extends Error {
  constructor(context: string, problem: string, known: readonly string[]) {
    super(
      `publicEvents.contexts names ${context}, ${problem}. Name some of ${known.join(', ')}, as in orders=forever, users=30d`,
    );
    this.name = 'WrongContexts';
  }
}

/** A service has ended before it answered; its own lines say why. */
export class ServiceEnded extends Error {
  constructor(how: string) {
    super(`a service has ended before it answered (${how}); its lines above say why`);
    this.name = 'ServiceEnded';
  }
}
