# A VPC of its own: nothing else of the account is in reach, and taking it down takes all of it down.

data "aws_availability_zones" "available" {
  state = "available"

  # Local Zones lack many instance types.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

resource "aws_vpc" "cluster" {
  cidr_block           = var.vpc_cidr
  enable_dns_hostnames = true
  enable_dns_support   = true

  tags = { Name = var.name }
}

# The default group of a VPC lets its members talk freely. Ours has no rule and no member.
resource "aws_default_security_group" "unused" {
  vpc_id = aws_vpc.cluster.id
}

resource "aws_internet_gateway" "cluster" {
  vpc_id = aws_vpc.cluster.id

  tags = { Name = var.name }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.cluster.id

  tags = { Name = "${var.name}-public" }
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.cluster.id
}

resource "aws_subnet" "zone" {
  count = var.zones

  vpc_id            = aws_vpc.cluster.id
  availability_zone = sort(data.aws_availability_zones.available.names)[count.index]
  cidr_block        = cidrsubnet(var.vpc_cidr, 4, count.index)

  tags = { Name = "${var.name}-zone-${count.index + 1}" }
}

resource "aws_route_table_association" "zone" {
  count = var.zones

  subnet_id      = aws_subnet.zone[count.index].id
  route_table_id = aws_route_table.public.id
}
