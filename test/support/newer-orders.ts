import { clone, create, createFileRegistry, type DescMessage } from '@bufbuild/protobuf';
import {
  DescriptorProtoSchema,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FieldDescriptorProtoSchema,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import type { OrderConfirmed } from '../../src/gen/jetledger/order/v1/order_pb.ts';
import { file_jetledger_public_orders_v1_orders } from '../../src/gen/jetledger/public/orders/v1/orders_pb.ts';
import { orders } from '../../src/processes/contracts/orders.ts';
import type { AnyContract } from '../../src/processes/engine/index.ts';

const PACKAGE = 'jetledger.public.orders.v1';

const textField = (name: string, number: number) =>
  create(FieldDescriptorProtoSchema, {
    ...{ name, number, jsonName: name },
    type: FieldDescriptorProto_Type.STRING,
    label: FieldDescriptorProto_Label.OPTIONAL,
  });

/** The contract of orders as a later build may have it: one more field, and one more type of event. */
export function newerOrders(): AnyContract {
  const file = clone(FileDescriptorProtoSchema, file_jetledger_public_orders_v1_orders.proto);
  file.messageType.find(({ name }) => name === 'OrderConfirmed')?.field.push(textField('warehouse', 15));
  file.messageType.push(create(DescriptorProtoSchema, { name: 'OrderChecked', field: [textField('by', 1)] }));
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [file] }));
  const schemaOf = (name: string): DescMessage => {
    const found = registry.getMessage(`${PACKAGE}.${name}`);
    if (found === undefined) throw new Error(`There is no ${name}.`);
    return found;
  };
  const events = [...orders.events.map(({ name }) => schemaOf(name)), schemaOf('OrderChecked')];
  return {
    ...orders,
    events,
    toPublic: {
      ...orders.toPublic,
      'jetledger.order.v1.CustomerValidated': () => create(schemaOf('OrderChecked'), { by: 'us' }),
      'jetledger.order.v1.OrderConfirmed': ({ confirmedAt }: OrderConfirmed, { id }) =>
        create(schemaOf('OrderConfirmed'), { orderId: id, confirmedAt, warehouse: 'north' }),
    },
  };
}
