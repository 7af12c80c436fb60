"""A Terraform provider that knows schemas and does nothing: enough for `validate`, and for `test` with mocks.

    TERRAFORM_SCHEMA=FILE terraform_provider.py      # started by Terraform; FILE is from terraform_schema.py
"""

import os
import pathlib

import tf.provider
from tf.gen import tfplugin_pb2 as pb
from tf.gen import tfplugin_pb2_grpc as rpc
from tf.runner import run_provider


class Schemas(rpc.ProviderServicer):
    def __init__(self, _provider):
        self.answer = pb.GetProviderSchema.Response.FromString(pathlib.Path(os.environ["TERRAFORM_SCHEMA"]).read_bytes())

    def GetProviderSchema(self, request, context):
        return self.answer

    def ValidateProviderConfig(self, request, context):
        return pb.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request, context):
        return pb.ValidateResourceConfig.Response()

    def ValidateDataResourceConfig(self, request, context):
        return pb.ValidateDataResourceConfig.Response()

    def StopProvider(self, request, context):
        return pb.StopProvider.Response()


if __name__ == "__main__":
    tf.provider.ProviderServicer = Schemas
    run_provider(None)
