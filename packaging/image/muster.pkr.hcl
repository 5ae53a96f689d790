# An image with muster in it, from a running instance of a base image, sealed before it is captured.
#
#   packer init . && packer build -var base=rhel-9 -var package=muster-0.1.0-1.x86_64.rpm .
#
# Needs Packer 1.7 and its Amazon plugin. Here only its syntax was checked, with Packer 1.6.

packer {
  required_plugins {
    amazon = {
      version = "~> 1.3"
      source  = "github.com/hashicorp/amazon"
    }
  }
}

variable "base" {
  type        = string
  default     = "rhel-9"
  description = "What the image is made from: rhel-8, rhel-9 or debian-12."
}

variable "package" {
  type        = string
  description = "The .rpm or .deb of muster, as `make rpm` or `make deb` built it."
}

variable "region" {
  type    = string
  default = "eu-west-1"
}

variable "instance_type" {
  type    = string
  default = "t3.small"
}

variable "subnet_id" {
  type    = string
  default = ""
}

locals {
  # Red Hat's own account, and Debian's.
  bases = {
    "rhel-8"    = { owner = "309956199498", name = "RHEL-8.*_HVM-*-x86_64-*-Hourly2-GP*", user = "ec2-user" }
    "rhel-9"    = { owner = "309956199498", name = "RHEL-9.*_HVM-*-x86_64-*-Hourly2-GP*", user = "ec2-user" }
    "debian-12" = { owner = "136693071363", name = "debian-12-amd64-*", user = "admin" }
  }
  stamp = formatdate("YYYYMMDD-hhmm", timestamp())
}

source "amazon-ebs" "node" {
  region          = var.region
  instance_type   = var.instance_type
  subnet_id       = var.subnet_id
  ssh_username    = local.bases[var.base].user
  ami_name        = "${var.base}-muster-${local.stamp}"
  ami_description = "A node of a fenced Pacemaker cluster, founded by muster"
  imds_support    = "v2.0"
  ena_support     = true
  encrypt_boot    = true

  source_ami_filter {
    owners      = [local.bases[var.base].owner]
    most_recent = true
    filters = {
      name                = local.bases[var.base].name
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  # Of the instance that builds; what instances of the image get is said when they are launched.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  tags = {
    "muster:image" = "${var.base}-muster-${local.stamp}"
  }
}

build {
  sources = ["source.amazon-ebs.node"]

  provisioner "file" {
    source      = var.package
    destination = "/tmp/${basename(var.package)}"
  }

  provisioner "shell" {
    script          = "${path.root}/provision.sh"
    execute_command = "sudo env PACKAGE=/tmp/${basename(var.package)} sh '{{ .Path }}'"
  }

  # Last: what is captured must be nobody. Packer's own key goes with the account's cloud-init state.
  provisioner "shell" {
    inline = [
      "sudo rm -f /tmp/${basename(var.package)} ~/.ssh/authorized_keys",
      "sudo muster seal --host-keys",
      "sudo muster seal --host-keys --check",
    ]
  }
}
