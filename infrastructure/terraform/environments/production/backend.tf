# State: one bucket and key per account, made once (infrastructure/terraform/README.md). The bucket's name carries the
# account and is given at `terraform init`:  -backend-config="bucket=security-hub-state-ACCOUNT"
terraform {
  backend "s3" {
    key          = "security-hub/production/terraform.tfstate"
    region       = "eu-central-1"
    encrypt      = true
    kms_key_id   = "alias/security-hub-state"
    use_lockfile = true
  }
}
