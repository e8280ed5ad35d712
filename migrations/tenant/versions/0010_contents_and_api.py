"""contents and api: what links open, sealed files among it; API clients, and answers that repeat; a till's reference of a use, and uses taken back"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('product', sa.Column('content_address', sa.Text(), server_default='', nullable=False))
    op.add_column('minted_use', sa.Column('address_mark', sa.Text(), server_default='', nullable=False))
    op.create_table('content_file',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('product_id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('media_type', sa.Text(), nullable=False),
    sa.Column('size_bytes', sa.BigInteger(), nullable=False),
    sa.Column('sha256', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('size_bytes > 0', name=op.f('ck_content_file_size_positive')),
    sa.ForeignKeyConstraint(['product_id'], ['product.id'], name=op.f('fk_content_file_product_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_content_file'))
    )
    op.create_index(op.f('ix_content_file_product_id'), 'content_file', ['product_id'], unique=False)
    op.create_table('content_piece',
    sa.Column('file_id', sa.Uuid(), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('row_id', sa.Uuid(), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['file_id'], ['content_file.id'], name=op.f('fk_content_piece_file_id'), ondelete='cascade'),
    sa.PrimaryKeyConstraint('file_id', 'seq', name=op.f('pk_content_piece'))
    )
    op.add_column('minted_use', sa.Column('reference', sa.Text(), server_default='', nullable=False))
    op.add_column('minted_use', sa.Column('voided_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('minted_use', sa.Column('void_reason', sa.Text(), server_default='', nullable=False))
    op.drop_constraint(op.f('uq_minted_use_minted_id_use_no'), 'minted_use', type_='unique')
    op.create_index('uq_minted_use_live', 'minted_use', ['minted_id', 'use_no'], unique=True, postgresql_where=sa.text('voided_at is null'))
    op.create_index('uq_minted_use_reference', 'minted_use', ['who_id', 'reference'], unique=True, postgresql_where=sa.text("reference <> ''"))
    op.create_index('ix_minted_use_minted', 'minted_use', ['minted_id'], unique=False)
    op.create_table('api_client',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('client_key', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('scopes', sa.Text(), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('last_used_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_used_address', sa.Text(), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_api_client')),
    sa.UniqueConstraint('client_key', name=op.f('uq_api_client_client_key'))
    )
    op.create_table('api_secret',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('client_id', sa.Uuid(), nullable=False),
    sa.Column('secret_hash', sa.LargeBinary(), nullable=False),
    sa.Column('hint', sa.Text(), nullable=False),
    sa.Column('ends_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['client_id'], ['api_client.id'], name=op.f('fk_api_secret_client_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_api_secret')),
    sa.UniqueConstraint('secret_hash', name=op.f('uq_api_secret_secret_hash'))
    )
    op.create_index(op.f('ix_api_secret_client_id'), 'api_secret', ['client_id'], unique=False)
    op.create_table('api_token',
    sa.Column('token_hash', sa.LargeBinary(), nullable=False),
    sa.Column('secret_id', sa.Uuid(), nullable=False),
    sa.Column('scopes', sa.Text(), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['secret_id'], ['api_secret.id'], name=op.f('fk_api_token_secret_id')),
    sa.PrimaryKeyConstraint('token_hash', name=op.f('pk_api_token'))
    )
    op.create_index(op.f('ix_api_token_secret_id'), 'api_token', ['secret_id'], unique=False)
    op.create_table('api_answer',
    sa.Column('client_id', sa.Uuid(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('sent', sa.LargeBinary(), nullable=False),
    sa.Column('status', sa.SmallInteger(), nullable=True),
    sa.Column('answer', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['client_id'], ['api_client.id'], name=op.f('fk_api_answer_client_id')),
    sa.PrimaryKeyConstraint('client_id', 'key', name=op.f('pk_api_answer'))
    )
    op.create_index('ix_api_answer_created', 'api_answer', ['created_at'], unique=False)


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
