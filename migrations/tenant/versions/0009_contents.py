"""contents: what links open, sealed files among it; the network a link was opened from"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'
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


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
