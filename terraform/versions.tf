terraform {
  # 1.11 brought write-only arguments: the certificates' keys reach Parameter Store through one and
  # are in neither plan nor state.
  required_version = ">= 1.11.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0, < 7.0.0"
    }
  }
}

provider "aws" {
  region = var.aws_region

  default_tags {
    tags = {
      "rehearse-cluster" = var.name
    }
  }
}
